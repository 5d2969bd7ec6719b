# An addon that carries its C++ runtime and needs glibc 2.28 only, Node 20's own floor (RHEL 8), whatever machine links it. libc and
# libm are linked through hollow twins that offer no younger symbol (scripts/glibc-stubs.mjs); the few that the compiler's headers
# and libstdc++.a ask for all the same are in old_glibc.cpp. libgcc stays dynamic: its unwinder needs _dl_find_object of glibc 2.35.
set(stubs ${CMAKE_CURRENT_BINARY_DIR}/glibc_stubs)
set(script ${CMAKE_CURRENT_SOURCE_DIR}/scripts/glibc-stubs.mjs)
add_custom_command(OUTPUT ${stubs}/libloader.so COMMAND node ${script} ${stubs} 2.28 ${CMAKE_CXX_COMPILER} DEPENDS ${script} VERBATIM)
add_custom_target(glibc_stubs DEPENDS ${stubs}/libloader.so)

gemmatune_addon(gemmatune_prebuilt cmake/old_glibc.cpp)
add_dependencies(gemmatune_prebuilt glibc_stubs)
target_link_options(gemmatune_prebuilt PRIVATE -static-libstdc++ -L${stubs})
target_link_libraries(gemmatune_prebuilt PRIVATE ${stubs}/libloader.so)
