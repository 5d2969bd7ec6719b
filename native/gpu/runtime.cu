// gpu/context.h on the CUDA runtime, and on the emulator's stand-in for it.
#include <algorithm>

#include "core/fence.h"
#include "gpu/driver.h"
#include "gpu/kernel.h"

namespace gt::GT_GPU {
namespace {

#if !defined(__CUDACC__)
void check_cuda(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw Error(Code::kDevice, text(what, " failed: ", cudaGetErrorString(status)));
}
#endif

constexpr size_t kRing = size_t(4) << 20;
constexpr size_t kAlignment = 256;
size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Pinned host memory, grown on demand.
class Pinned {
 public:
  ~Pinned() { if (data_) cudaFreeHost(data_); }
  char* reserve(size_t bytes) {
    if (bytes > bytes_) {
      if (data_) cudaFreeHost(data_);
      data_ = nullptr, bytes_ = 0;
      check_cuda(cudaMallocHost(&data_, bytes), "allocating pinned memory");
      bytes_ = bytes;
    }
    return static_cast<char*>(data_);
  }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

// An event of its own for each mark: one that is recorded again would move the point that another thread waits for.
gpu::Mark record(cudaStream_t stream) {
  cudaEvent_t event = nullptr;
  check_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "creating an event");
  const gpu::Mark mark(event, [](void* e) { cudaEventDestroy(static_cast<cudaEvent_t>(e)); });
  check_cuda(cudaEventRecord(event, stream), "recording an event");
  return mark;
}
void wait_behind(cudaStream_t stream, const gpu::Mark& mark) { check_cuda(cudaStreamWaitEvent(stream, static_cast<cudaEvent_t>(mark.get()), 0), "waiting for an event"); }

class RuntimeLane final : public gpu::Lane {
 public:
  explicit RuntimeLane(int device) : device_(device) {
    use();
    check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creating a stream");
    stream = stream_;
  }
  ~RuntimeLane() override {
    cudaSetDevice(device_);
    cudaStreamSynchronize(stream_);  // its errors have nowhere to go here
    cudaStreamDestroy(stream_);
  }

  void wait_for(const gpu::Mark& mark) override {
    use();
    wait_behind(stream_, mark);
  }
  gpu::Mark mark() override {
    use();
    return record(stream_);
  }
  bool passed(const gpu::Mark& mark) override {
    use();
    const cudaError_t status = cudaEventQuery(static_cast<cudaEvent_t>(mark.get()));
    if (status == cudaErrorNotReady) return cudaGetLastError(), false;  // the runtime keeps it as this thread's last error, which libraries ask for
    check_cuda(status, "work on the device");
    return true;
  }

  void copy_to_host(void* to, const void* from, size_t bytes) override {
    use();
    if (bytes) check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_), "a copy from the device");
  }
  void copy_from_host(void* to, const void* from, size_t bytes) override {
    use();
    if (bytes) check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_), "a copy to the device");
  }
  void synchronize() override {
    use();
    check_cuda(cudaStreamSynchronize(stream_), "work on the device");
  }
  void* pinned(size_t bytes) override {
    synchronize();
    return buffer_.reserve(bytes);
  }

 private:
  void use() { check_cuda(cudaSetDevice(device_), "selecting the device"); }

  const int device_;
  cudaStream_t stream_ = nullptr;
  Pinned buffer_;
};

class RuntimeContext final : public Context {
 public:
  RuntimeContext(int device, const gpu::Description& d, Level highest) {
    index = device, description = d;
    level = d.capability >= 80 ? highest : Level::sm75;
    use();
    check_cuda(cudaStreamCreateWithFlags(&compute_, cudaStreamNonBlocking), "creating a stream");
    check_cuda(cudaStreamCreateWithFlags(&upload_, cudaStreamNonBlocking), "creating a stream");
    check_cuda(cudaEventCreateWithFlags(&uploaded_, cudaEventDisableTiming), "creating an event");
    check_cuda(cudaEventCreateWithFlags(&fetched_, cudaEventDisableTiming), "creating an event");
    stream = compute_;
  }

  ~RuntimeContext() override {
    // Errors of work still in flight have nowhere to go here; memory is freed all the same.
    cudaSetDevice(index);
    cudaStreamSynchronize(upload_), cudaStreamSynchronize(compute_);
    for (void* p : {scratch_, ring_}) if (p) cudaFree(p);
    for (void* p : outgrown_) cudaFree(p);
    cudaEventDestroy(uploaded_), cudaEventDestroy(fetched_);
    cudaStreamDestroy(upload_), cudaStreamDestroy(compute_);
  }

  void* allocate(size_t bytes) override {
    use();
    void* p = nullptr;
    const cudaError_t status = cudaMalloc(&p, std::max<size_t>(bytes, 1));
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // not sticky: the next call starts clean
      return nullptr;
    }
    check_cuda(status, "allocating device memory");
    try {
      zero(p, bytes);
    } catch (...) {
      cudaFree(p);
      throw;
    }
    return p;
  }
  // Called by destructors: what goes wrong is kept for the next wait.
  void release(void* pointer) override {
    use();
    const cudaError_t status = cudaStreamSynchronize(compute_);
    if (status != cudaSuccess && problem_.empty()) problem_ = cudaGetErrorString(status);
    cudaFree(pointer);
  }
  void free_memory(int64_t* free, int64_t* total) override {
    use();
    size_t f = 0, t = 0;
    check_cuda(cudaMemGetInfo(&f, &t), "asking for the free memory");
    *free = int64_t(f), *total = int64_t(t);
  }

  void zero(void* pointer, size_t bytes) override {
    use();
    if (bytes) check_cuda(cudaMemsetAsync(pointer, 0, bytes, compute_), "clearing device memory");
  }
  void copy_within(void* to, const void* from, size_t bytes) override {
    use();
    if (bytes) check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, compute_), "a copy on the device");
  }
  void copy_from_host(void* to, const void* from, size_t bytes) override {
    use();
    if (!bytes) return;
    check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, compute_), "a copy to the device");
    synchronize();
  }
  void copy_to_host(void* to, const void* from, size_t bytes) override {
    use();
    if (!bytes) return;
    check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, compute_), "a copy from the device");
    synchronize();
  }
  void synchronize() override {
    use();
    const cudaError_t status = cudaStreamSynchronize(compute_);
    tell_problem();
    check_cuda(status, "work on the device");
  }

  // The ring is written from front to back. Before it starts over, all that reads it is waited for. A larger one takes its place when
  // one piece does not fit; the old one stays for launches that are still to come.
  const void* stage(const void* from, size_t bytes) override {
    use();
    const size_t size = aligned(std::max<size_t>(bytes, 1));
    if (at_ + size > ring_bytes_) {
      check_cuda(cudaStreamSynchronize(upload_), "an upload");
      synchronize();
      if (size > ring_bytes_) {
        if (ring_) outgrown_.push_back(ring_);
        ring_ = nullptr, ring_bytes_ = 0;
        const size_t wanted = std::max(kRing, 2 * size);
        require(cudaMalloc(&ring_, wanted) == cudaSuccess, Code::kMemory, "out of memory: ", description.name, " has no ", wanted, " bytes left for uploads");
        pinned_ring_.reserve(wanted);
        ring_bytes_ = wanted;
      }
      at_ = 0;
    }
    char* host = pinned_ring_.reserve(ring_bytes_) + at_;
    char* device = static_cast<char*>(ring_) + at_;
    at_ += size;
    if (bytes) {
      memcpy(host, from, bytes);
      check_cuda(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, upload_), "an upload");
      check_cuda(cudaEventRecord(uploaded_, upload_), "an upload");
      check_cuda(cudaStreamWaitEvent(compute_, uploaded_, 0), "an upload");
    }
    return device;
  }

  void fetch(const void* from, size_t bytes) override {
    use();
    char* to = pinned_result_.reserve(std::max<size_t>(bytes, 1));
    if (bytes) check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, compute_), "a copy from the device");
    check_cuda(cudaEventRecord(fetched_, compute_), "a copy from the device");
  }
  const void* wait() override {
    use();
    const cudaError_t status = cudaEventSynchronize(fetched_);
    tell_problem();
    check_cuda(status, "work on the device");
    return pinned_result_.reserve(0);
  }

  void* scratch(size_t bytes) override {
    use();
    if (bytes > scratch_bytes_) {
      if (scratch_) release(scratch_);
      scratch_ = nullptr, scratch_bytes_ = 0;
      scratch_ = allocate(bytes);
      require(scratch_, Code::kMemory, "out of memory: ", description.name, " has no ", bytes, " bytes left for scratch");
      scratch_bytes_ = bytes;
    }
#if !defined(__CUDACC__)
    // NaN, and some behind it, where AddressSanitizer also has a fence: an op that counts on zeros, on what it left there, or on more than it asked for is
    // found out.
    if (bytes) enqueue_foreign(compute_, [p = static_cast<char*>(scratch_), bytes, all = scratch_bytes_] {
      unfence(p, all);
      memset(p, 0xff, std::min(all, bytes + (size_t(64) << 10)));
      fence(p + bytes, all - bytes);
      return true;
    });
#endif
    return scratch_;
  }

  gpu::Mark mark() override {
    use();
    return record(compute_);
  }
  void wait_for(const gpu::Mark& mark) override {
    use();
    wait_behind(compute_, mark);
  }
  std::unique_ptr<gpu::Lane> open_lane() override { return std::make_unique<RuntimeLane>(index); }

 private:
  // Calls come from any thread; the runtime's current device is a thread's own.
  void use() { check_cuda(cudaSetDevice(index), "selecting the device"); }
  void tell_problem() {
    if (problem_.empty()) return;
    const std::string problem = std::move(problem_);
    problem_.clear();
    throw Error(Code::kDevice, text("work on the device failed: ", problem));
  }

  cudaStream_t compute_ = nullptr, upload_ = nullptr;
  cudaEvent_t uploaded_ = nullptr, fetched_ = nullptr;
  Pinned pinned_ring_, pinned_result_;
  void* ring_ = nullptr;
  size_t ring_bytes_ = 0, at_ = 0;
  void* scratch_ = nullptr;
  size_t scratch_bytes_ = 0;
  std::vector<void*> outgrown_;  // rings
  std::string problem_;
};

}  // namespace

std::vector<gpu::Description> devices(std::string* problem) {
  std::vector<gpu::Description> found;
  problem->clear();
  int driver = 0, runtime = 0, count = 0;
  cudaRuntimeGetVersion(&runtime);
#if defined(__CUDACC__)
  *problem = gpu::driver_problem("libcuda.so.1", runtime);
  if (!problem->empty()) return found;
#endif
  cudaDriverGetVersion(&driver);
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    *problem = count == 0 && status == cudaSuccess ? "no device is visible" : cudaGetErrorString(status);
    return found;
  }
  for (int i = 0; i < count; i++) {
    cudaDeviceProp p;
    check_cuda(cudaGetDeviceProperties(&p, i), "describing a device");
    gpu::Description d;
    d.name = p.name, d.capability = p.major * 10 + p.minor, d.multiprocessors = p.multiProcessorCount, d.memory = int64_t(p.totalGlobalMem);
    d.driver = driver, d.runtime = runtime;
    found.push_back(d);
  }
  return found;
}

std::unique_ptr<Context> open(int index, Level highest) {
  std::string problem;
  const std::vector<gpu::Description> all = devices(&problem);
  if (all.empty()) throw Error(Code::kDevice, problem);
  if (index < 0 || size_t(index) >= all.size()) throw Error(Code::kDevice, text("device ", index, " does not exist: there are ", all.size(), ", counted from 0"));
  const gpu::Description& d = all[size_t(index)];
  if (d.capability < 75) throw Error(Code::kDevice, text(d.name, " has compute capability ", d.capability / 10, ".", d.capability % 10, ", the kernels need 7.5 (Turing) or newer"));
  return std::make_unique<RuntimeContext>(index, d, highest);
}

}  // namespace gt::GT_GPU
