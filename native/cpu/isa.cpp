#include "cpu/isa.h"

#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <string>

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace gt::cpu {

const char* name_of(Isa isa) {
  switch (isa) {
    case Isa::portable: return "portable";
    case Isa::avx2: return "avx2";
    case Isa::avx512: return "avx512";
  }
  return "?";
}

static Isa detect() {
#if defined(__x86_64__)
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  Isa best = avx512 ? Isa::avx512 : avx2 ? Isa::avx2 : Isa::portable;
  if (const char* wish = std::getenv("GEMMATUNE_CPU"))
    for (Isa lower : {Isa::portable, Isa::avx2})
      if (!std::strcmp(wish, name_of(lower)) && lower < best) best = lower;
  return best;
#else
  return Isa::portable;
#endif
}

Isa isa() {
  static const Isa chosen = detect();
  return chosen;
}

#if defined(__x86_64__) && defined(__linux__)
static bool leaf7(unsigned subleaf, unsigned* eax, unsigned* edx) {
  unsigned b, c;
  return __get_cpuid_count(7, subleaf, eax, &b, &c, edx);
}

bool has_avx512_bf16() {
  static const bool there = [] {
    unsigned eax = 0, edx = 0;
    return isa() == Isa::avx512 && !std::getenv("GEMMATUNE_CPU") && leaf7(1, &eax, &edx) && (eax >> 5 & 1);
  }();
  return there;
}

bool has_amx_bf16() {
  // Linux hands out the 8 KB of tile registers on request only: ARCH_REQ_XCOMP_PERM (0x1023) for XTILEDATA (18).
  static const bool granted = [] {
    unsigned eax = 0, edx = 0;
    if (!has_avx512_bf16() || !leaf7(0, &eax, &edx)) return false;
    bool tile = (edx >> 24 & 1) && (edx >> 22 & 1);
    const char* off = std::getenv("GEMMATUNE_AMX");
    return tile && !(off && !std::strcmp(off, "0")) && syscall(SYS_arch_prctl, 0x1023, 18) == 0;
  }();
  return granted;
}
#else
bool has_avx512_bf16() { return false; }
bool has_amx_bf16() { return false; }
#endif

bool has_fast_bf16_pairs() { return has_avx512_bf16() && !has_amx_bf16(); }

const char* instruction_set() {
  static const std::string set = std::string(name_of(isa())) + (has_amx_bf16() ? "+amx-bf16" : has_avx512_bf16() ? "+avx512-bf16" : "");
  return set.c_str();
}

}  // namespace gt::cpu
