# Asio and nlohmann/json: a target that the including project has already, else an installed
# package, else the pinned commit. QGA_FETCHED lists what was fetched.
include(FetchContent)
set(QGA_FETCHED "")

# Headers only: SOURCE_SUBDIR names nothing, so the dependency's own CMakeLists.txt does not run.
macro(qga_fetch_headers name target repository commit)
  message(STATUS "qga: ${target} is not installed, fetching it from ${repository}. This needs git; on "
                 "Debian and Ubuntu install libasio-dev and nlohmann-json3-dev instead")
  FetchContent_Declare(${name} GIT_REPOSITORY ${repository} GIT_TAG ${commit} SOURCE_SUBDIR none)
  FetchContent_MakeAvailable(${name})
  add_library(qga_${name} INTERFACE)
  add_library(${target} ALIAS qga_${name})
  target_include_directories(qga_${name} SYSTEM INTERFACE "${${name}_SOURCE_DIR}/include")
  list(APPEND QGA_FETCHED ${name})
endmacro()

if(NOT TARGET asio::asio)
  list(PREPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}")  # FindAsio.cmake
  find_package(Asio 1.22.1 QUIET)
  list(POP_FRONT CMAKE_MODULE_PATH)
endif()
if(NOT TARGET asio::asio)
  qga_fetch_headers(asio asio::asio https://github.com/chriskohlhoff/asio.git
                    8806a6803cde7054c3049d3666d3ec36786568c5)  # 1.38.2
  target_compile_definitions(qga_asio INTERFACE ASIO_STANDALONE)
endif()

if(NOT TARGET nlohmann_json::nlohmann_json)
  find_package(nlohmann_json 3.11 QUIET)
endif()
if(NOT TARGET nlohmann_json::nlohmann_json)
  qga_fetch_headers(json nlohmann_json::nlohmann_json https://github.com/nlohmann/json.git
                    9cca280a4d0ccf0c08f47a99aa71d1b0e52f8d03)  # 3.11.3
endif()

find_package(Threads REQUIRED)
