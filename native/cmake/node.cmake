# The addon, with the Node-API headers of node-addon-api and node-api-headers: nothing is downloaded.
# bind/ sees api/ and itself only: an include path with two entries, so that "core/..." does not compile there.
function(gemmatune_node_package name variable)
  execute_process(COMMAND node -p "require('path').resolve(require('${name}').include_dir)"
    WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} OUTPUT_VARIABLE dir OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  set(${variable} ${dir} PARENT_SCOPE)
endfunction()
gemmatune_node_package(node-addon-api node_addon_api)
gemmatune_node_package(node-api-headers node_api_headers)

# Links to the only two folders that the binding may include from.
set(bind_include ${CMAKE_CURRENT_BINARY_DIR}/bind_include)
file(MAKE_DIRECTORY ${bind_include})
foreach(folder api bind)
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR}/${folder} ${bind_include}/${folder} SYMBOLIC)
endforeach()

add_library(bind OBJECT bind/addon.cpp bind/group.cpp bind/model.cpp ${CMAKE_JS_SRC})
target_include_directories(bind PRIVATE ${bind_include} ${node_addon_api} ${node_api_headers})
target_compile_definitions(bind PRIVATE NAPI_VERSION=9 NODE_ADDON_API_CPP_EXCEPTIONS_ALL NODE_GYP_MODULE_NAME=gemmatune_native BUILDING_NODE_EXTENSION
  # Where an environment is torn down, JavaScript can take no exception: without this, node-addon-api aborts the process then.
  NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS)
gemmatune_warnings(bind)

function(gemmatune_addon target)
  add_library(${target} SHARED $<TARGET_OBJECTS:bind> ${ARGN})
  set_target_properties(${target} PROPERTIES PREFIX "" OUTPUT_NAME gemmatune_native SUFFIX ".node")
  target_link_libraries(${target} PRIVATE core ${CMAKE_JS_LIB})
  gemmatune_warnings(${target})
  if(APPLE)
    target_link_options(${target} PRIVATE -undefined dynamic_lookup)
  else()
    # nodelete: Node unmaps an addon when its last worker ends, while threads may still be in it.
    set(exports ${CMAKE_CURRENT_SOURCE_DIR}/cmake/exports.map)
    target_link_options(${target} PRIVATE -Wl,--version-script,${exports} -Wl,-z,noexecstack -Wl,-z,nodelete -Wl,--gc-sections)
    set_target_properties(${target} PROPERTIES LINK_DEPENDS ${exports})
  endif()
endfunction()

gemmatune_addon(gemmatune_native)

# The addon of the published package, built on demand where prebuildify looks for it: <its --cwd>/build/Release.
include(CheckCXXSymbolExists)
check_cxx_symbol_exists(__GLIBC__ features.h GEMMATUNE_GLIBC)
if(GEMMATUNE_GLIBC)
  include(cmake/old_glibc.cmake)
else()
  gemmatune_addon(gemmatune_prebuilt)
endif()
set_target_properties(gemmatune_prebuilt PROPERTIES EXCLUDE_FROM_ALL ON LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/prebuild/build/Release)
