# extract_snippets(README DIR FRAGMENTS PROGRAMS): writes the ```cpp blocks of README into DIR and
# sets the two variables to the sources that hold them.
#
#   a block with "int main"     a whole program, a file of its own
#   ```cpp                      the body of a function
#   ```cpp co_await             the body of a coroutine, awaitable<void>
#
# Bodies share one file, which begins with preamble.hpp and with the blocks' #include lines (one
# file compiles faster than many). Other fences (```c++ too) are left alone. Errors show the line
# in README.
function(extract_snippets readme dir fragments_var programs_var)
  file(READ "${readme}" rest)
  string(PREPEND rest "\n")
  set(line 0)
  set(includes "")
  set(bodies "")
  set(programs "")
  while(TRUE)
    string(FIND "${rest}" "\n```cpp" begin)
    if(begin EQUAL -1)
      break()
    endif()
    math(EXPR begin "${begin} + 1")
    cut_before(${begin})                          # up to the fence
    string(FIND "${rest}" "\n" begin)
    string(SUBSTRING "${rest}" 0 ${begin} fence)  # ```cpp, ```cpp co_await
    math(EXPR begin "${begin} + 1")
    cut_before(${begin})
    string(FIND "\n${rest}" "\n```" end)          # 0 where the block is empty
    if(end EQUAL -1)
      message(FATAL_ERROR "${readme}:${line}: this block does not end")
    endif()
    string(SUBSTRING "${rest}" 0 ${end} code)
    math(EXPR first "${line} + 1")
    set(code "#line ${first} \"${readme}\"\n${code}")

    if(code MATCHES "int main")
      # clang 14 with Asio 1.22 has no coroutines.
      if(code MATCHES "co_await")
        set(code "#include <asio/detail/config.hpp>\n#ifdef ASIO_HAS_CO_AWAIT\n${code}\
#else\nint main() {}\n#endif\n")
      endif()
      write_if_different("${dir}/program_${first}.cpp" "${code}")
      list(APPEND programs "${dir}/program_${first}.cpp")
    else()
      string(REGEX MATCHALL "#include [^\n]+\n" lines "${code}")
      string(APPEND includes ${lines})
      string(REGEX REPLACE "#include [^\n]+\n" "\n" code "${code}")
      if(fence STREQUAL "```cpp")
        string(APPEND bodies "\nvoid snippet_${first}() {\n${code}}\n")
      elseif(fence STREQUAL "```cpp co_await")
        string(APPEND bodies "\n#ifdef ASIO_HAS_CO_AWAIT\n"
               "asio::awaitable<void> snippet_${first}() {\n${code}}\n#endif\n")
      else()
        message(FATAL_ERROR "${readme}:${line}: what is '${fence}'?")
      endif()
    endif()
    cut_before(${end})
  endwhile()
  write_if_different("${dir}/fragments.cpp" "#include \"preamble.hpp\"\n${includes}${bodies}")
  set(${fragments_var} "${dir}/fragments.cpp" PARENT_SCOPE)
  set(${programs_var} "${programs}" PARENT_SCOPE)
endfunction()

# Drops the first `count` characters of `rest` and keeps count of the lines: a macro, for its
# caller's variables.
macro(cut_before count)
  string(SUBSTRING "${rest}" 0 ${count} head)
  string(SUBSTRING "${rest}" ${count} -1 rest)
  string(REGEX REPLACE "[^\n]" "" head "${head}")
  string(LENGTH "${head}" lines)
  math(EXPR line "${line} + ${lines}")
endmacro()

# Leaves an unchanged file alone, so that it is not compiled again.
function(write_if_different file content)
  if(EXISTS "${file}")
    file(READ "${file}" old)
    if(old STREQUAL content)
      return()
    endif()
  endif()
  file(WRITE "${file}" "${content}")
endfunction()
