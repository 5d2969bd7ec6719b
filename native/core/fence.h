// Memory that is ours and that nobody may touch: AddressSanitizer reports who does. Other builds have no fences.
#pragma once
#include <cstddef>
#include <cstdint>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace gt {

#if defined(__SANITIZE_ADDRESS__)
constexpr int64_t kFence = 64;  // bytes between tensors
inline void fence(void* p, size_t bytes) { ASAN_POISON_MEMORY_REGION(p, bytes); }
inline void unfence(void* p, size_t bytes) { ASAN_UNPOISON_MEMORY_REGION(p, bytes); }
#else
constexpr int64_t kFence = 0;
inline void fence(void*, size_t) {}
inline void unfence(void*, size_t) {}
#endif

}  // namespace gt
