# extract_snippets(DIR PAGE...): writes the ```cpp blocks of the pages into DIR, as two sources (two
# files compile much faster than many), and sets snippet_runs in the scope of its caller.
#
#   a block with "int main"     a whole program
#   ```cpp run                  a whole program that is run, too: by a CTest test, with the socket of a
#                               real, harmless agent as its argument. It has to exit with 0 within
#                               60 s. setup.sh in tests/support lists what is blocked there
#   ```cpp                      the body of a function, in which `ga` is a client; see preamble.hpp
#   ```cpp co_await             the body of a coroutine, awaitable<void>
#   ```cpp declarations         what stands outside of functions, in a namespace of its own
#
# fragments.cpp has the blocks that are not programs, and begins with preamble.hpp. programs.cpp has
# the programs, each with its main() in a namespace of its own, and a main() that calls the one which
# its first argument names: PAGE_LINE, as in the list snippet_runs. Both have the blocks' #include
# lines at their top; so tests/docs/check.py looks whether each program includes what it uses. A line
# that begins with } ends main(), and gets the `return 0` that only the real main() can do without.
#
# Other fences (```c++ too) are left alone. Errors show the line in the page.
function(extract_snippets dir)
  set(includes "")
  set(bodies "")
  set(program_includes "")
  set(programs "")
  set(calls "")
  set(runs "")
  foreach(page IN LISTS ARGN)
    cmake_path(GET page STEM name)
    string(TOLOWER "${name}" name)
    extract_page()
  endforeach()
  list(REMOVE_DUPLICATES includes)
  list(JOIN includes "" includes)
  write_if_different("${dir}/fragments.cpp" "#include \"preamble.hpp\"\n${includes}${bodies}")
  list(REMOVE_DUPLICATES program_includes)
  list(JOIN program_includes "" program_includes)
  write_if_different("${dir}/programs.cpp" "${program_includes}#include \"programs.hpp\"
${programs}
int main(int argc, char** argv) {
${calls}  return unknown_program(argc, argv);
}
")
  set(snippet_runs "${runs}" PARENT_SCOPE)
endfunction()

# Adds the blocks of one page: a macro, for its caller's variables.
macro(extract_page)
  file(READ "${page}" rest)
  string(PREPEND rest "\n")
  set(line 0)
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
      message(FATAL_ERROR "${page}:${line}: this block does not end")
    endif()
    string(SUBSTRING "${rest}" 0 ${end} code)
    math(EXPR first "${line} + 1")
    string(FIND "${code}" "int main" main)
    set(code "#line ${first} \"${page}\"\n${code}")
    add_block()
    cut_before(${end})
  endwhile()
endmacro()

# Adds one block to one of the files: a macro, for its caller's variables.
macro(add_block)
  set(id "${name}_${first}")
  string(REGEX MATCHALL "#include [^\n]+\n" lines "${code}")
  string(REGEX REPLACE "#include [^\n]+\n" "\n" code "${code}")
  if(NOT main EQUAL -1)
    list(APPEND program_includes ${lines})
    string(FIND "${code}" "\nint main(" main)
    string(SUBSTRING "${code}" 0 ${main} before)
    string(SUBSTRING "${code}" ${main} -1 code)
    string(REPLACE "\n}" "\nreturn 0; }" code "${code}")
    set(code "namespace program_${id} {\n${before}${code}}\n")
    set(call "  if (is_named(\"${id}\", argc, argv)) return call(program_${id}::main, argc, argv);\n")
    guard_coroutines(code)
    guard_coroutines(call "${code}")
    string(APPEND programs "\n${code}")
    string(APPEND calls "${call}")
    if(fence STREQUAL "```cpp run")
      list(APPEND runs "${id}")
    elseif(NOT fence STREQUAL "```cpp")
      message(FATAL_ERROR "${page}:${line}: a program cannot be '${fence}'")
    endif()
  else()
    list(APPEND includes ${lines})
    if(fence STREQUAL "```cpp")
      set(code "void snippet_${id}() {\n${code}}\n")
    elseif(fence STREQUAL "```cpp co_await")
      set(code "asio::awaitable<void> snippet_${id}() {\n${code}}\n")
    elseif(fence STREQUAL "```cpp declarations")
      set(code "namespace snippet_${id} {\n${code}}\n")
    else()
      message(FATAL_ERROR "${page}:${line}: what is '${fence}'?")
    endif()
    guard_coroutines(code)
    string(APPEND bodies "\n${code}")
  endif()
endmacro()

# Puts the code of `variable` between #ifdefs where it, or the text that is given, has a coroutine:
# clang 14 with Asio 1.22 has none.
function(guard_coroutines variable)
  string(FIND "${${variable}}${ARGN}" "co_await" awaits)
  string(FIND "${${variable}}${ARGN}" "awaitable<" declares)
  if(NOT awaits EQUAL -1 OR NOT declares EQUAL -1)
    set(${variable} "#ifdef ASIO_HAS_CO_AWAIT\n${${variable}}#endif\n" PARENT_SCOPE)
  endif()
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
