# CPU kernels are compiled apart from the rest, with flags for the instruction set they need; the choice is made at run time (see
# cpu/isa.h). Other processors than x86-64 get the portable set.
set(GT_FLAGS_portable "")
set(GT_FLAGS_avx2 -mavx2 -mfma -mf16c)
set(GT_FLAGS_avx512 -mavx512f -mavx512bw -mavx512vl -mavx512dq ${GT_FLAGS_avx2} -mprefer-vector-width=512)
set(GT_FLAGS_avx512bf16 ${GT_FLAGS_avx512} -mavx512bf16)
set(GT_FLAGS_amx ${GT_FLAGS_avx512bf16} -mamx-tile -mamx-bf16)

# GCC copies the sixteen lanes of cpu/vec.h through the stack, 16 bytes at a time, unless it is told that it may move 32.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 12)
  list(APPEND GT_FLAGS_avx2 -mmove-max=256 -mstore-max=256)
endif()

if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(GT_X86_64 TRUE)
endif()

# One object library of `sources`, added to `target`.
function(gemmatune_kernel_library target isa sources)
  set(library kernels_${isa})
  add_library(${library} OBJECT ${sources})
  target_include_directories(${library} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_compile_definitions(${library} PRIVATE GT_ISA=${isa})
  # No errno and no trapping: square roots and conversions become single instructions. Values stay IEEE.
  target_compile_options(${library} PRIVATE ${GT_FLAGS_${isa}} -fno-math-errno -fno-trapping-math)
  gemmatune_warnings(${library})
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:${library}>)
endfunction()

# ops/<op>/cpu.cpp: once per instruction set.
function(gemmatune_cpu_kernels target sources)
  gemmatune_kernel_library(${target} portable "${sources}")
  if(GT_X86_64)
    gemmatune_kernel_library(${target} avx2 "${sources}")
    gemmatune_kernel_library(${target} avx512 "${sources}")
  endif()
endfunction()

# ops/<op>/cpu_<engine>.cpp: once, for that engine.
function(gemmatune_cpu_engines target sources)
  if(NOT GT_X86_64)
    return()
  endif()
  foreach(engine avx512bf16 amx)
    set(own ${sources})
    list(FILTER own INCLUDE REGEX "cpu_${engine}\\.cpp$")
    if(own)
      gemmatune_kernel_library(${target} ${engine} "${own}")
    endif()
  endforeach()
endfunction()
