// One GPU as the rest of the core sees it: memory, copies and a stream, behind virtual functions, so that core/ and model/ need no
// CUDA header and one binary can hold two of them: `cuda` (the CUDA runtime) and `emulated` (gpu/emulator.h). Plain C++17: nvcc 11.8
// compiles whatever includes this.
//
// Everything runs in the order of the calls, on one stream, and asynchronously unless it says otherwise.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace gt::gpu {

// The two code paths of kernels with tensor-core products. sm75 (Turing): scaled fp16 containers, m16n8k8, loads through registers.
// sm80 (Ampere and newer): bfloat16, m16n8k16, cp.async. sm75 also runs on newer devices, so that T4's numerics can be checked there.
enum class Level : int { sm75 = 750, sm80 = 800 };

struct Description {
  std::string name;                 // "Tesla T4"
  int capability = 0;               // 75, 80, 86, 89, 90
  int multiprocessors = 0;
  int64_t memory = 0;               // bytes
  int driver = 0, runtime = 0;      // as CUDA counts: 12040 is 12.4
};

// A point in a stream's work: behind all that was queued there when it was made. May be made, waited for and dropped by different threads.
using Mark = std::shared_ptr<void>;

// A stream of its own beside the context's, for collectives and the copies they need. For one thread, which need not be the context's; passed() and the
// destructor are for any. It must not outlive its context.
class Lane {
 public:
  virtual ~Lane() = default;  // waits for the lane's work
  Lane(const Lane&) = delete;

  // What is queued here later runs behind `mark`; the host does not wait. Makes the device the current one of the calling thread.
  virtual void wait_for(const Mark& mark) = 0;
  virtual Mark mark() = 0;
  // Whether the work before `mark` is done, on whatever stream of this device.
  virtual bool passed(const Mark& mark) = 0;

  // Begins a copy between device memory and pinned(): the host's side must stay as it is until the copy is done.
  virtual void copy_to_host(void* to, const void* from, size_t bytes) = 0;
  virtual void copy_from_host(void* to, const void* from, size_t bytes) = 0;
  virtual void synchronize() = 0;

  // A host buffer for copies: waits for the lane's work, and is grown to the largest size asked for, which loses what it held.
  virtual void* pinned(size_t bytes) = 0;

  void* stream = nullptr;  // cudaStream_t, for libraries that launch their own kernels

 protected:
  Lane() = default;
};

class Context {
 public:
  virtual ~Context() = default;
  Context(const Context&) = delete;

  // Zeroed, 256-byte aligned; null when the device has no such piece of memory left.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* pointer) = 0;
  virtual void free_memory(int64_t* free, int64_t* total) = 0;

  virtual void zero(void* pointer, size_t bytes) = 0;
  virtual void copy_within(void* to, const void* from, size_t bytes) = 0;  // ranges of this device, not overlapping
  // `from` may be reused at once.
  virtual void copy_from_host(void* to, const void* from, size_t bytes) = 0;
  // Complete on return.
  virtual void copy_to_host(void* to, const void* from, size_t bytes) = 0;
  virtual void synchronize() = 0;

  // Small host data for the kernels of one op (ids, block lists, constants): copied to a ring that is uploaded beside the running
  // kernels. `from` may be reused at once; the result is for launches before the next call, which may come round. 256-byte aligned.
  virtual const void* stage(const void* from, size_t bytes) = 0;

  // Starts copying device memory to a pinned buffer behind the work launched so far; `wait` ends when that copy is done, while later
  // work may still run. One at a time.
  virtual void fetch(const void* from, size_t bytes) = 0;
  virtual const void* wait() = 0;

  // A buffer that ops share, grown to the largest size asked for; contents undefined, for the launches until the next call.
  virtual void* scratch(size_t bytes) = 0;

  // For work on a lane that depends on this stream's, and the other way round: work queued later waits for `mark`, the host does not.
  virtual Mark mark() = 0;
  virtual void wait_for(const Mark& mark) = 0;
  virtual std::unique_ptr<Lane> open_lane() = 0;

  int index = 0;  // of the device, among its kind
  Level level = Level::sm80;
  Description description;
  int64_t launches = 0;    // of kernels, so far
  void* stream = nullptr;  // cudaStream_t, for gpu/kernel.h's launch

 protected:
  Context() = default;
};

}  // namespace gt::gpu

// The same file, gpu/runtime.cu, compiled for each. Both throw Error(kDevice) with the reason when there is no such device.
#define GT_DECLARE_RUNTIME                                               \
  std::unique_ptr<gpu::Context> open(int index, gpu::Level highest);     \
  /* What there is; `problem` says why there is nothing, else "". */     \
  std::vector<gpu::Description> devices(std::string* problem)

namespace gt::cuda { GT_DECLARE_RUNTIME; }
namespace gt::emulated { GT_DECLARE_RUNTIME; }

// A table of launchers, one op's: `GT_DECLARE_GPU_TABLES(Rmsnorm, rmsnorm)` in ops/<op>/gpu.h declares it for both; cuda.cu defines
// `const gpu::Rmsnorm rmsnorm = {...}` in namespace gt::GT_GPU; the door calls GT_PICK_GPU(device, rmsnorm).
#define GT_DECLARE_GPU_TABLES(Type, name)               \
  namespace gt::cuda { extern const gpu::Type name; }   \
  namespace gt::emulated { extern const gpu::Type name; }
#if !defined(GEMMATUNE_CUDA)
// A source that CMakeLists.txt does not tell whether there are CUDA kernels (by 0 or 1) has no GT_PICK_GPU.
#elif GEMMATUNE_CUDA && defined(GEMMATUNE_EMULATED)
#define GT_PICK_GPU(device, name) ((device).kind == DeviceKind::cuda ? cuda::name : emulated::name)
#elif GEMMATUNE_CUDA
#define GT_PICK_GPU(device, name) (cuda::name)
#elif defined(GEMMATUNE_EMULATED)
#define GT_PICK_GPU(device, name) (emulated::name)
#else
namespace gt::gpu {
template <class Table>
Table& missing() { throw 0; }  // never reached: no Device of these kinds can be made
}
#define GT_PICK_GPU(device, name) (::gt::gpu::missing<decltype(emulated::name)>())
#endif
