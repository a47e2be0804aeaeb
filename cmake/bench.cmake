# SPDX-License-Identifier: Apache-2.0
# Every bench/*.c is a program that measures; none is built unless asked for (SC_BENCH), none is installed.
add_custom_target(bench DEPENDS socle_command)
file(GLOB programs CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bench/*.c)
foreach(source IN LISTS programs)
  get_filename_component(name ${source} NAME_WE)
  add_executable(bench_${name} ${source})
  set_target_properties(bench_${name} PROPERTIES OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)
  # Kernels alone can be measured only from inside: private headers, static library.
  target_include_directories(bench_${name} PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(bench_${name} PRIVATE sc_flags socle_static ${SC_LIBS})
  add_dependencies(bench bench_${name})
endforeach()
