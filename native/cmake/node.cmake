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

add_library(gemmatune_native SHARED bind/addon.cpp bind/model.cpp ${CMAKE_JS_SRC})
set_target_properties(gemmatune_native PROPERTIES PREFIX "" SUFFIX ".node")
target_include_directories(gemmatune_native PRIVATE ${bind_include} ${node_addon_api} ${node_api_headers})
target_compile_definitions(gemmatune_native PRIVATE NAPI_VERSION=9 NAPI_CPP_EXCEPTIONS NODE_GYP_MODULE_NAME=gemmatune_native BUILDING_NODE_EXTENSION)
target_link_libraries(gemmatune_native PRIVATE $<TARGET_FILE:core> Threads::Threads ${CMAKE_JS_LIB})
add_dependencies(gemmatune_native core)
gemmatune_warnings(gemmatune_native)
if(UNIX AND NOT APPLE)
  # nodelete: Node unmaps an addon when its last worker ends, while threads may still be in it.
  # libstdc++ stays dynamic: Node itself needs it, and linking it statically raises the glibc that is required.
  target_link_options(gemmatune_native PRIVATE -Wl,--exclude-libs,ALL -Wl,-z,noexecstack -Wl,-z,nodelete -Wl,--gc-sections)
elseif(APPLE)
  target_link_options(gemmatune_native PRIVATE -undefined dynamic_lookup)
endif()
