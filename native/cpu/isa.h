// Which instruction set the CPU kernels use. Each ops/*/cpu.cpp is compiled once per instruction set (GT_ISA names it); at run
// time the best one that this machine has is picked. GEMMATUNE_CPU=portable|avx2|avx512 in the environment lowers the choice; avx512
// then means without its bfloat16 and tile units. GEMMATUNE_AMX=0 leaves out the tile unit alone.
//
// A cpu.cpp defines one table of function pointers, `const Rmsnorm GT_TABLE(rmsnorm) = {...}`, declared in the op's cpu.h by
// GT_DECLARE_TABLES(Rmsnorm, rmsnorm); the door calls `GT_PICK(rmsnorm).forward(...)`. Everything else in a cpu.cpp is in an
// anonymous namespace and takes raw pointers: an inline function with external linkage, compiled for AVX-512 here and for SSE2
// elsewhere, would be merged by the linker, and an old CPU would meet the wrong copy. A test looks for such symbols.
#pragma once

namespace gt::cpu {

enum class Isa { portable, avx2, avx512 };
const char* name_of(Isa isa);

// The instruction set in use: what the machine has, lowered by GEMMATUNE_CPU. Read once.
Isa isa();

// Engines for bfloat16 on top of avx512. Asked once: cpuid leaves a virtual machine.
bool has_avx512_bf16();
bool has_amx_bf16();  // asks the kernel for the tile state
// vdpbf16ps outruns float32 multiply-adds. Processors with AMX issue it at half their rate.
bool has_fast_bf16_pairs();

// All of it in a word: "avx512+avx512-bf16". Lives as long as the program.
const char* instruction_set();

}  // namespace gt::cpu

#define GT_JOIN_(a, b) a##_##b
#define GT_JOIN(a, b) GT_JOIN_(a, b)
#define GT_TABLE(name) GT_JOIN(name, GT_ISA)

#if defined(__x86_64__)
#define GT_DECLARE_TABLES(Type, name) extern const Type name##_portable, name##_avx2, name##_avx512
#define GT_PICK(name) \
  (::gt::cpu::isa() == ::gt::cpu::Isa::avx512 ? name##_avx512 : ::gt::cpu::isa() == ::gt::cpu::Isa::avx2 ? name##_avx2 : name##_portable)
#else
#define GT_DECLARE_TABLES(Type, name) extern const Type name##_portable
#define GT_PICK(name) (name##_portable)
#endif
