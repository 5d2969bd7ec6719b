// A yardstick for gemm.h, never required: GEMMATUNE_CUBLASLT=1, or = the path of the library, gives the products of this op on `cuda`
// devices (sm_80 and newer) to NVIDIA's cuBLASLt, which is loaded at the first product. One device in a process.
//
// Prototypes and constants are ours, after the interface that cuBLASLt 11, 12 and 13 share: no header of theirs is needed to build.
#pragma once
#include <dlfcn.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "core/tensor.h"
#include "gpu/context.h"

namespace gt::cublaslt {

// A factor seen as rows x inner: its lines, `stride` apart, run along the inner dimension or across it.
struct Factor {
  const void* data;
  int64_t stride;
  bool along;
};

class Library {
 public:
  // `name`: a path, or "1" for the usual names. Throws Error(kDevice) saying what was looked for.
  explicit Library(const std::string& name) {
    const std::string usual[] = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so.11", "/usr/local/cuda/lib64/libcublasLt.so"};
    std::string tried, reason;
    auto open = [&](const std::string& file) {
      tried += (tried.empty() ? "" : ", ") + file;
      library_ = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);  // stays open
      if (!library_) reason = dlerror();
    };
    if (name != "1") open(name);
    else
      for (const std::string& file : usual)
        if (!library_) open(file);
    if (!library_) throw Error(Code::kDevice, text("GEMMATUNE_CUBLASLT is \"", name, "\", but cuBLASLt could not be loaded; looked for ", tried, " (", reason, "). Unset it to use gemmatune's own kernels, or set it to the library's path"));
    load(create_, "cublasLtCreate"), load(matmul_, "cublasLtMatmul"), load(heuristic_, "cublasLtMatmulAlgoGetHeuristic");
    load(desc_create_, "cublasLtMatmulDescCreate"), load(desc_set_, "cublasLtMatmulDescSetAttribute"), load(desc_destroy_, "cublasLtMatmulDescDestroy");
    load(layout_create_, "cublasLtMatrixLayoutCreate"), load(layout_destroy_, "cublasLtMatrixLayoutDestroy");
    load(preference_create_, "cublasLtMatmulPreferenceCreate"), load(preference_set_, "cublasLtMatmulPreferenceSetAttribute"), load(preference_destroy_, "cublasLtMatmulPreferenceDestroy");
    check(create_(&handle_), "cublasLtCreate");
  }
  Library(const Library&) = delete;

  // out [rows, cols] (+)= sum_k a(r, k) b(c, k), of bfloat16 factors.
  void multiply(gpu::Context& context, void* out, DType out_type, bool add, const Factor& a, const Factor& b, int64_t rows, int64_t cols, int64_t inner) const {
    // cuBLASLt counts columns first: it computes outᵀ [cols, rows] = b · aᵀ.
    const Handle product(desc_destroy_), b_layout(layout_destroy_), a_layout(layout_destroy_), out_layout(layout_destroy_), preference(preference_destroy_);
    check(desc_create_(&product.value, kCompute32F, kFloat32), "cublasLtMatmulDescCreate");
    const int transpose_b = b.along, transpose_a = !a.along;
    check(desc_set_(product.value, kTransA, &transpose_b, sizeof transpose_b), "cublasLtMatmulDescSetAttribute");
    check(desc_set_(product.value, kTransB, &transpose_a, sizeof transpose_a), "cublasLtMatmulDescSetAttribute");
    const int type = out_type == DType::bf16 ? kBfloat16 : kFloat32;
    check(layout_create_(&b_layout.value, kBfloat16, uint64_t(b.along ? inner : cols), uint64_t(b.along ? cols : inner), b.stride), "cublasLtMatrixLayoutCreate");
    check(layout_create_(&a_layout.value, kBfloat16, uint64_t(a.along ? inner : rows), uint64_t(a.along ? rows : inner), a.stride), "cublasLtMatrixLayoutCreate");
    check(layout_create_(&out_layout.value, type, uint64_t(cols), uint64_t(rows), cols), "cublasLtMatrixLayoutCreate");
    check(preference_create_(&preference.value), "cublasLtMatmulPreferenceCreate");
    check(preference_set_(preference.value, kMaxWorkspaceBytes, &kWorkspace, sizeof kWorkspace), "cublasLtMatmulPreferenceSetAttribute");

    Algorithm algorithm;
    int found = 0;
    const int status = heuristic_(handle_, product.value, b_layout.value, a_layout.value, out_layout.value, out_layout.value, preference.value, 1, &algorithm, &found);
    require(status == 0 && found == 1, Code::kDevice, "cuBLASLt has no algorithm for a bfloat16 product of [", rows, ", ", inner, "] and [", inner, ", ", cols, "] on ", context.description.name, " (status ", status, ")");
    const float one = 1, old = add ? 1 : 0;
    check(matmul_(handle_, product.value, &one, b.data, b_layout.value, a.data, a_layout.value, &old, out, out_layout.value, out, out_layout.value, algorithm.algorithm, context.scratch(kWorkspace), kWorkspace, context.stream), "cublasLtMatmul");
  }

 private:
  // cublasComputeType_t, cudaDataType, cublasLtMatmulDescAttributes_t, cublasLtMatmulPreferenceAttributes_t
  static constexpr int kCompute32F = 68, kFloat32 = 0, kBfloat16 = 14, kTransA = 3, kTransB = 4, kMaxWorkspaceBytes = 1;
  static constexpr size_t kWorkspace = size_t(32) << 20;  // as NVIDIA advises for Hopper
  // cublasLtMatmulHeuristicResult_t
  struct Algorithm {
    uint64_t algorithm[8];
    size_t workspace_bytes;
    int state;
    float waves;
    int reserved[4];
  };
  struct Handle {
    explicit Handle(int (*destroy)(void*)) : destroy(destroy) {}
    ~Handle() { if (value) destroy(value); }
    Handle(const Handle&) = delete;
    mutable void* value = nullptr;
    int (*destroy)(void*);
  };

  template <class Function>
  void load(Function& function, const char* name) {
    function = reinterpret_cast<Function>(dlsym(library_, name));
    require(function, Code::kDevice, "the library that GEMMATUNE_CUBLASLT names is not cuBLASLt: it lacks ", name);
  }
  static void check(int status, const char* what) { require(status == 0, Code::kDevice, what, " failed with cuBLAS status ", status); }

  void* library_ = nullptr;
  void* handle_ = nullptr;
  int (*create_)(void** handle) = nullptr;
  int (*desc_create_)(void** desc, int compute_type, int scale_type) = nullptr;
  int (*desc_set_)(void* desc, int attribute, const void* value, size_t bytes) = nullptr;
  int (*layout_create_)(void** layout, int type, uint64_t rows, uint64_t cols, int64_t stride) = nullptr;
  int (*preference_create_)(void** preference) = nullptr;
  int (*preference_set_)(void* preference, int attribute, const void* value, size_t bytes) = nullptr;
  int (*desc_destroy_)(void*) = nullptr;
  int (*layout_destroy_)(void*) = nullptr;
  int (*preference_destroy_)(void*) = nullptr;
  int (*heuristic_)(void* handle, void* desc, void* a, void* b, void* c, void* d, void* preference, int wanted, Algorithm* results, int* found) = nullptr;
  int (*matmul_)(void* handle, void* desc, const void* alpha, const void* a, void* a_layout, const void* b, void* b_layout, const void* beta, const void* c, void* c_layout, void* d, void* d_layout, const void* algorithm, void* workspace,
                 size_t workspace_bytes, void* stream) = nullptr;
};

// The library that GEMMATUNE_CUBLASLT asks for, or null.
inline const Library* yardstick() {
  static const char* const name = std::getenv("GEMMATUNE_CUBLASLT");
  if (!name || !*name || std::string(name) == "0") return nullptr;
  static const Library library(name);
  return &library;
}

}  // namespace gt::cublaslt
