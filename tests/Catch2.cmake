# Catch2::Catch2 and catch_discover_tests(), of Catch2 3 or 2.13: installed, else the pinned commit.
find_package(Catch2 3 QUIET)
if(NOT Catch2_FOUND)
  find_package(Catch2 2.13 QUIET)
endif()
if(NOT Catch2_FOUND)
  message(STATUS "qga: no installed Catch2, fetching it")
  include(FetchContent)
  FetchContent_Declare(Catch2 GIT_REPOSITORY https://github.com/catchorg/Catch2.git
                       GIT_TAG fa43b77429ba76c462b1898d6cd2f2d7a9416b14)  # 3.7.1
  FetchContent_MakeAvailable(Catch2)
  list(APPEND CMAKE_MODULE_PATH "${catch2_SOURCE_DIR}/extras")
  # Of our own standard, or parts of it that need C++17 are missing from the library (clang 14).
  target_compile_features(Catch2 PUBLIC cxx_std_20)
endif()
include(Catch)
