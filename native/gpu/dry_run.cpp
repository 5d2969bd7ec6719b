// In place of libcudart_static and of gpu/driver.cpp: a linker takes these first.
#include "gpu/dry_run.h"

#include <cuda_runtime_api.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>

namespace gt::gpu {

std::string driver_problem(const char*, int) { return ""; }
std::string version_text(int version) { return std::to_string(version); }

namespace {

struct Device {
  std::string name = "dry run";
  int capability = 90, multiprocessors = 132;
  int64_t memory = int64_t(140) << 30, used = 0;
} device;
std::map<void*, size_t> blocks;
std::vector<Launch> launches;

// Filled by static constructors, hence made on first use.
std::map<const void*, std::string>& kernels() {
  static std::map<const void*, std::string> all;
  return all;
}

}  // namespace

void dry_run_device(const char* name, int capability, int multiprocessors, int64_t memory) {
  device.name = name, device.capability = capability, device.multiprocessors = multiprocessors, device.memory = memory;
}
std::vector<Launch> take_launches() { return std::exchange(launches, {}); }

}  // namespace gt::gpu

using namespace gt::gpu;

extern "C" {

// What nvcc makes a program call at its start, for every .cu file and every kernel in it.
void** __cudaRegisterFatBinary(void*) {
  static void* handle;
  return &handle;
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
void __cudaRegisterFunction(void**, const char* host, char*, const char* name, int, uint3*, uint3*, dim3*, dim3*, int*) { kernels()[host] = name; }
// Called by the stubs of <<<>>> only, which nothing here uses.
cudaError_t __cudaPopCallConfiguration(dim3*, dim3*, size_t*, void*) { return cudaErrorNotSupported; }
cudaError_t __cudaGetKernel(cudaKernel_t*, const void*) { return cudaErrorNotSupported; }
cudaError_t __cudaLaunchKernel(cudaKernel_t, dim3, dim3, void**, size_t, cudaStream_t) { return cudaErrorNotSupported; }
cudaError_t cudaLaunchKernel(const void*, dim3, dim3, void**, size_t, cudaStream_t) { return cudaErrorNotSupported; }

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* c, const void* kernel, void**) {
  launches.push_back({kernels().at(kernel), {c->gridDim.x, c->gridDim.y, c->gridDim.z}, c->blockDim.x * c->blockDim.y * c->blockDim.z, c->dynamicSmemBytes});
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) { return cudaSuccess; }

cudaError_t cudaMalloc(void** p, size_t bytes) {
  if (device.used + int64_t(bytes) > device.memory) return cudaErrorMemoryAllocation;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return cudaErrorMemoryAllocation;
  blocks[*p = memory] = bytes, device.used += int64_t(bytes);
  return cudaSuccess;
}
cudaError_t cudaFree(void* p) {
  const auto block = blocks.find(p);
  if (block == blocks.end()) return p ? cudaErrorInvalidValue : cudaSuccess;
  munmap(p, block->second), device.used -= int64_t(block->second), blocks.erase(block);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** p, size_t bytes) { return (*p = std::malloc(bytes)) ? cudaSuccess : cudaErrorMemoryAllocation; }
cudaError_t cudaFreeHost(void* p) { return std::free(p), cudaSuccess; }
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) { return *free = size_t(device.memory - device.used), *total = size_t(device.memory), cudaSuccess; }

// The device's numbers are all zero.
cudaError_t cudaMemcpyAsync(void* to, const void*, size_t bytes, cudaMemcpyKind kind, cudaStream_t) {
  if (kind == cudaMemcpyDeviceToHost) std::memset(to, 0, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void*, int, size_t, cudaStream_t) { return cudaSuccess; }

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned) { return *s = nullptr, cudaSuccess; }
cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) { return *e = nullptr, cudaSuccess; }
cudaError_t cudaEventDestroy(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaEventQuery(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }

cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
  std::memset(p, 0, sizeof *p);
  std::strncpy(p->name, device.name.c_str(), sizeof p->name - 1);
  p->major = device.capability / 10, p->minor = device.capability % 10;
  p->multiProcessorCount = device.multiprocessors, p->totalGlobalMem = size_t(device.memory);
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) { return *version = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaGetLastError(void) { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t) { return "refused in a dry run"; }

}
