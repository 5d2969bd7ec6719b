// Tensor-core products of a warp and the loads that feed them. Each instruction stands here once, beside its emulation.
//
// Fragments (PTX ISA, "Matrix Fragments for mma"), with g = lane / 4, t = lane % 4, pairs of 16-bit numbers in a register:
//   A 16 x 16: a[0] row g, columns 2t, 2t+1;  a[1] row g+8;  a[2] row g, columns 2t+8, 2t+9;  a[3] row g+8, those columns
//   B 16 x 8:  b[0] rows 2t, 2t+1 of column g;  b[1] rows 2t+8, 2t+9
//   C, D 16 x 8, float32: d[0], d[1] row g, columns 2t, 2t+1;  d[2], d[3] row g+8
// ldmatrix_x4 fills four 8x8 matrices of 16-bit numbers: matrix i from the rows that lanes 8i .. 8i+7 point at (16 bytes each,
// 16-byte aligned); lane l then holds row l/4, columns 2(l%4), 2(l%4)+1 of each, or with _trans of its transpose.
#pragma once
#include "gpu/kernel.h"

namespace gt::GT_GPU {

#if defined(__CUDACC__)

__device__ __forceinline__ uint32_t shared_address(const void* p) { return uint32_t(__cvta_generic_to_shared(p)); }

// d += a · b
__device__ __forceinline__ void mma_m16n8k8_f16(float (&d)[4], uint32_t a0, uint32_t a1, uint32_t b) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a0), "r"(a1), "r"(b));
}
__device__ __forceinline__ void mma_m16n8k16_f16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#if GT_ARCH >= 800
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}
__device__ __forceinline__ void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#if GT_ARCH >= 800
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}
__device__ __forceinline__ void ldmatrix_x2(uint32_t (&r)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(shared_address(row)) : "memory");
}
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
__device__ __forceinline__ void ldmatrix_x2_trans(uint32_t (&r)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(shared_address(row)) : "memory");
}
__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}

// 16 bytes from global to shared memory, landing some time before the wait that covers its group; both 16-byte aligned. With
// `valid` false the destination gets zeros and the source is not read.
__device__ __forceinline__ void copy_async_16(void* to, const void* from, bool valid = true) {
#if GT_ARCH >= 800
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid ? 16 : 0) : "memory");
#endif
}
__device__ __forceinline__ void copy_async_commit() {
#if GT_ARCH >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
// Waits until all but the newest kPending groups of this thread have landed; other threads see them after a barrier.
template <int kPending>
__device__ __forceinline__ void copy_async_wait() {
#if GT_ARCH >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#endif
}

#endif

// The operand format of a Level. Tensors in memory are bfloat16 at both.
template <Level>
struct Format;

// Scaled fp16 containers (see gpu/containers.h): a bfloat16 number times a power of two that the whole tensor shares.
template <>
struct Format<Level::sm75> {
  static constexpr bool kScaled = true;
  __device__ static uint32_t pack(float low, float high) { return pack_f16(low, high); }
  __device__ static uint4 from_bf16(uint4 v, float scale) {
    uint4 r;
    r.x = pack_f16(low_bf16(v.x) * scale, high_bf16(v.x) * scale), r.y = pack_f16(low_bf16(v.y) * scale, high_bf16(v.y) * scale);
    r.z = pack_f16(low_bf16(v.z) * scale, high_bf16(v.z) * scale), r.w = pack_f16(low_bf16(v.w) * scale, high_bf16(v.w) * scale);
    return r;
  }
  // d += a · b, 16 x 8 x 16
  __device__ static void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    mma_m16n8k8_f16(d, a[0], a[1], b0);
    mma_m16n8k8_f16(d, a[2], a[3], b1);
  }
};

template <>
struct Format<Level::sm80> {
  static constexpr bool kScaled = false;
  __device__ static uint32_t pack(float low, float high) { return pack_bf16(low, high); }
  __device__ static uint4 from_bf16(uint4 v, float) { return v; }
  __device__ static void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) { mma_m16n8k16_bf16(d, a, b0, b1); }
};

}  // namespace gt::GT_GPU
