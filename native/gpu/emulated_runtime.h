// As much of the CUDA runtime as gpu/runtime.cu calls: two devices, each with its own memory. What is queued on a stream runs at once or
// when somebody waits for it, by draw: a missing wait shows as stale data on one side or the other. Who asks whether work is done moves it on by a piece.
//
// A copy, a fill or a kernel that is given memory of another device, of the host, or past a piece's end is refused. After a failure the
// rest of the stream's work is dropped; the failure is told once, by the next wait for that stream, and then everything works again
// (a real device would stay broken).
#pragma once
#include <cstddef>
#include <functional>

namespace gt::emulated {

enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorMemoryAllocation = 2, cudaErrorInvalidDevice = 101, cudaErrorNotReady = 600, cudaErrorLaunchFailure = 719 };
using cudaStream_t = struct Stream*;
using cudaEvent_t = struct Event*;
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
struct cudaDeviceProp { char name[256]; int major, minor, multiProcessorCount; size_t totalGlobalMem; };
constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2;

cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaSetDevice(int device);  // of this thread
cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaRuntimeGetVersion(int* version);

cudaError_t cudaMemGetInfo(size_t* free, size_t* total);
cudaError_t cudaMalloc(void** p, size_t bytes);
cudaError_t cudaFree(void* p);  // waits for nothing: work that is still queued on this memory is a bug
cudaError_t cudaMallocHost(void** p, size_t bytes);
cudaError_t cudaFreeHost(void* p);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemcpyPeerAsync(void* to, int to_device, const void* from, int from_device, size_t bytes, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t stream);

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventQuery(cudaEvent_t event);
cudaError_t cudaEventSynchronize(cudaEvent_t event);

// In place of a library with kernels of its own (comm/fake_nccl.cpp). `work` says whether it is done; until then it is asked again, and the stream stands
// still. It may read and write the memory of any device, and must not call the runtime.
void enqueue_foreign(void* stream, std::function<bool()> work);

cudaError_t cudaGetLastError();
const char* cudaGetErrorString(cudaError_t status);  // of this thread's last failed call, in full

}  // namespace gt::emulated
