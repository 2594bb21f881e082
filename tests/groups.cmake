# Which tests are compiled together, and which a quick run has.
#
# Sources of one group are compiled as one. Most of the compiler's time goes into what they share, the
# templates of Asio, nlohmann/json and the client: the seven sources of sessions take 14 s together,
# and one of them 5 s alone.
option(QGA_TEST_UNITY "Compile several tests together" ON)

# quick_group(DIRECTORY NAME...): DIRECTORY/NAME_test.cpp are a group, and in a quick run.
function(quick_group dir)
  get_property(quick GLOBAL PROPERTY QGA_QUICK_${dir})
  list(LENGTH quick number)
  foreach(name IN LISTS ARGN)
    set(source "${CMAKE_CURRENT_SOURCE_DIR}/${dir}/${name}_test.cpp")
    set_source_files_properties("${source}" PROPERTIES UNITY_GROUP quick_${number})
    set_property(GLOBAL APPEND PROPERTY QGA_QUICK_${dir} "${source}")
  endforeach()
endfunction()

# choose_tests(VARIABLE DIRECTORY): leaves in VARIABLE those of DIRECTORY that this build
# has, and puts those without a group into groups of seven.
function(choose_tests variable dir)
  get_property(quick GLOBAL PROPERTY QGA_QUICK_${dir})
  set(chosen ${quick})
  set(count 0)
  if(NOT QGA_QUICK_TESTS OR dir STREQUAL "unit")
    foreach(source IN LISTS ${variable})
      if(NOT source IN_LIST quick)
        math(EXPR group "${count} / 7")
        math(EXPR count "${count} + 1")
        set_source_files_properties("${source}" PROPERTIES UNITY_GROUP rest_${group})
        list(APPEND chosen "${source}")
      endif()
    endforeach()
  endif()
  set(${variable} ${chosen} PARENT_SCOPE)
endfunction()

# compile_together(TARGET PROPERTY...): has the sources of TARGET compiled in their groups, or as the
# properties of unity builds say. Names of different files meet then, and may hide each other.
function(compile_together target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${QGA_TEST_UNITY} UNITY_BUILD_MODE GROUP
                                             ${ARGN})
  if(QGA_TEST_UNITY)
    target_link_libraries(${target} PRIVATE qga_names_may_hide)
  endif()
endfunction()

# Linked last, so that it comes behind -Wshadow.
add_library(qga_names_may_hide INTERFACE)
target_compile_options(qga_names_may_hide INTERFACE -Wno-shadow)

# A quick run has all unit tests, and below them one of every kind: each promise of the README is
# tested, blocking and asynchronous.
quick_group(unit session session_barrier session_hostile session_order session_plain
            session_resync session_split)
quick_group(unit addresses capabilities clock file keys run sha256)
quick_group(unit freeze transfer text system)
quick_group(unit run_input usage wait_ready)
quick_group(unit address base64 decode encode envelope error methods names protocol transcript
            stream_concept operation)
quick_group(unit process)
quick_group(unit program_input start_parser)
quick_group(unit start_script)
quick_group(unit json json_index new_command reader shape)

quick_group(agent commands run transfer pipeline trace file)
quick_group(agent process_life process_coroutine)

quick_group(faults silence in_flight deadline guard guard_frozen helper_failures)
quick_group(faults busy stop freeze_failures hostile user_replies hang_up)

quick_group(vm files freeze power system)
