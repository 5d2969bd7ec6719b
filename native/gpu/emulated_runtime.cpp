// gpu/emulated_runtime.h, and how launches reach it. One lock for all of it, kernels included: calls may come from any thread.
#include "gpu/emulated_runtime.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "core/error.h"
#include "core/fence.h"
#include "gpu/emulator.h"

namespace gt::emulated {
namespace {

constexpr int kDevices = 2;
std::mutex lock;
thread_local int current = 0;
thread_local std::string problem;  // what is known about this thread's last failed call

struct Piece { int device; size_t bytes; };
constexpr int kHost = -1;  // pinned memory
std::map<const char*, Piece> memory;  // device memory and pinned host memory, by begin
size_t used[kDevices];

// The piece that holds [p, p + bytes), or null.
const std::pair<const char* const, Piece>* piece_of(const void* p, size_t bytes = 0) {
  const char* begin = static_cast<const char*>(p);
  auto next = memory.upper_bound(begin);
  if (next == memory.begin()) return nullptr;
  const auto& piece = *--next;
  return begin + bytes <= piece.first + piece.second.bytes ? &piece : nullptr;
}

std::string described(const void* p) {
  const auto* piece = piece_of(p);
  if (!piece) return text(p, " is no memory of a device");
  const std::string where = piece->second.device == kHost ? "pinned host memory" : text("device ", piece->second.device);
  return text(p, " is byte ", static_cast<const char*>(p) - piece->first, " of ", piece->second.bytes, " in ", where);
}

cudaError_t failed(cudaError_t status, const std::string& why) {
  problem = why;
  return status;
}

}  // namespace

// Work in order, each piece with a ticket: a count that never goes back. A piece says whether it is done; one that is not waits for another thread.
struct Queue {
  int device;
  std::deque<std::function<bool()>> work;
  uint64_t issued = 0, done = 0;
  std::string failure;

  void add(std::function<bool()> item) {
    issued++;
    if (!failure.empty()) return void(done = issued);  // dropped, like all work behind a failure that nobody has been told of
    work.push_back(std::move(item));
    if (options().streams == Options::eager || (options().streams == Options::drawn && ((options().seed + issued) * 0x9E3779B97F4A7C15ull >> 63))) run_to(issued);
  }
  // False where it can go no further yet.
  bool run_to(uint64_t ticket) {
    try {
      while (done < ticket) {
        if (!work.front()()) return false;
        work.pop_front();
        done++;
      }
    } catch (const std::exception& e) {
      failure = e.what();
      work.clear();
      done = issued;
    }
    return true;
  }
  cudaError_t report() {
    if (failure.empty()) return cudaSuccess;
    problem = std::move(failure);
    failure.clear();
    return cudaErrorLaunchFailure;
  }
};
struct Stream { std::shared_ptr<Queue> queue = std::make_shared<Queue>(); };
struct Event { std::shared_ptr<Queue> queue; uint64_t ticket = 0; };

// The thread that the work waits for needs the lock.
static void wait_for(Queue& queue, uint64_t ticket, std::unique_lock<std::mutex>& hold) {
  while (!queue.run_to(ticket)) {
    hold.unlock();
    std::this_thread::sleep_for(std::chrono::microseconds(100));
    hold.lock();
  }
}

// ---- launches

void check_parameter(gpu::Context& context, const void* parameter, size_t bytes, bool is_pointer) {
  std::lock_guard<std::mutex> hold(lock);
  const int device = static_cast<Stream*>(context.stream)->queue->device;
  for (size_t at = 0; at + sizeof(void*) <= bytes; at += sizeof(void*)) {
    void* p;
    memcpy(&p, static_cast<const char*>(parameter) + at, sizeof p);
    const auto* piece = piece_of(p);
    if (piece && piece->second.device == device) continue;
    // Any bytes of a struct can look like an address (an int beside what its padding held): only those of another device count, and none whose lower half
    // may be such an int.
    const bool may_be_int = uint32_t(reinterpret_cast<uintptr_t>(p)) < (1u << 24);
    if (!is_pointer && (!piece || piece->second.device == kHost || may_be_int)) continue;
    if (p) throw Error(Code::kDevice, text("a kernel on device ", device, " is given an address that is not that device's: ", described(p)));
  }
}

void enqueue(gpu::Context& context, Launch launch) {
  check_launch(launch);
  std::lock_guard<std::mutex> hold(lock);
  static_cast<Stream*>(context.stream)->queue->add([launch = std::move(launch)] { return run_grid(launch), true; });
}

void enqueue_foreign(void* stream, std::function<bool()> work) {
  std::lock_guard<std::mutex> hold(lock);
  static_cast<Stream*>(stream)->queue->add(std::move(work));
}

// ---- devices

cudaError_t cudaGetDeviceCount(int* count) { return *count = kDevices, cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  *p = {};
  snprintf(p->name, sizeof p->name, "emulated GPU %d", device);
  p->major = 8, p->minor = 0, p->multiProcessorCount = 4, p->totalGlobalMem = options().memory;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= kDevices) return failed(cudaErrorInvalidDevice, text("device ", device, " does not exist: there are ", kDevices));
  return current = device, cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) { return *version = 0, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 0, cudaSuccess; }

// ---- memory: exact pieces, so that ASan sees their ends; NaN before and after use

static size_t left() { return options().memory - std::min(options().memory, used[current]); }

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  std::lock_guard<std::mutex> hold(lock);
  return *total = options().memory, *free = left(), cudaSuccess;
}

static cudaError_t allocate(void** p, size_t bytes, int device) {
  *p = nullptr;
  if (posix_memalign(p, 256, bytes)) return failed(cudaErrorMemoryAllocation, "out of memory");
  memset(*p, 0xff, bytes);
  memory[static_cast<char*>(*p)] = {device, bytes};
  return cudaSuccess;
}
static cudaError_t release(const char* call, void* p, bool of_host) {
  const auto found = memory.find(static_cast<char*>(p));
  if (found == memory.end() || (found->second.device == kHost) != of_host) return failed(cudaErrorInvalidValue, text(call, ": ", described(p), ", expected what an allocation returned"));
  if (!of_host) used[found->second.device] -= found->second.bytes;
  unfence(p, found->second.bytes);
  memset(p, 0xff, found->second.bytes);
  memory.erase(found);
  free(p);
  return cudaSuccess;
}
cudaError_t cudaMalloc(void** p, size_t bytes) {
  std::lock_guard<std::mutex> hold(lock);
  *p = nullptr;
  if (bytes > left()) return failed(cudaErrorMemoryAllocation, "out of memory");
  const cudaError_t status = allocate(p, bytes, current);
  if (status == cudaSuccess) used[current] += bytes;
  return status;
}
cudaError_t cudaFree(void* p) {
  std::lock_guard<std::mutex> hold(lock);
  return p ? release("cudaFree", p, false) : cudaSuccess;
}
cudaError_t cudaMallocHost(void** p, size_t bytes) {
  std::lock_guard<std::mutex> hold(lock);
  return allocate(p, bytes, kHost);
}
cudaError_t cudaFreeHost(void* p) {
  std::lock_guard<std::mutex> hold(lock);
  return p ? release("cudaFreeHost", p, true) : cudaSuccess;
}

// Of `device`, or with kHost of no device.
static cudaError_t check_range(const char* what, const void* p, size_t bytes, int device) {
  const auto* piece = piece_of(p, device == kHost ? 1 : bytes);
  const int found = piece ? piece->second.device : kHost;
  if (found == device && (piece || device == kHost)) return cudaSuccess;
  return failed(cudaErrorInvalidValue, text(what, " of ", bytes, " bytes: ", described(p), ", expected ", device == kHost ? "memory of the host" : text("that many bytes of device ", device)));
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  std::lock_guard<std::mutex> hold(lock);
  const int device = stream->queue->device;
  if (const cudaError_t bad = check_range("the target of a copy", to, bytes, kind == cudaMemcpyDeviceToHost ? kHost : device)) return bad;
  if (const cudaError_t bad = check_range("the source of a copy", from, bytes, kind == cudaMemcpyHostToDevice ? kHost : device)) return bad;
  return stream->queue->add([=] { return memcpy(to, from, bytes), true; }), cudaSuccess;
}
cudaError_t cudaMemcpyPeerAsync(void* to, int to_device, const void* from, int from_device, size_t bytes, cudaStream_t stream) {
  std::lock_guard<std::mutex> hold(lock);
  if (const cudaError_t bad = check_range("the target of a copy", to, bytes, to_device)) return bad;
  if (const cudaError_t bad = check_range("the source of a copy", from, bytes, from_device)) return bad;
  return stream->queue->add([=] { return memcpy(to, from, bytes), true; }), cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t stream) {
  std::lock_guard<std::mutex> hold(lock);
  if (const cudaError_t bad = check_range("a fill", p, bytes, stream->queue->device)) return bad;
  return stream->queue->add([=] { return memset(p, value, bytes), true; }), cudaSuccess;
}

// ---- streams and events

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new Stream;
  return (*stream)->queue->device = current, cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  std::unique_lock<std::mutex> hold(lock);
  wait_for(*stream->queue, stream->queue->issued, hold);
  return delete stream, cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  std::unique_lock<std::mutex> hold(lock);
  wait_for(*stream->queue, stream->queue->issued, hold);
  return stream->queue->report();
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) { return *event = new Event, cudaSuccess; }
cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete event, cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  std::lock_guard<std::mutex> hold(lock);
  return event->queue = stream->queue, event->ticket = stream->queue->issued, cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  std::lock_guard<std::mutex> hold(lock);
  if (!event->queue) return cudaSuccess;  // never recorded
  stream->queue->add([other = event->queue, ticket = event->ticket] {
    if (!other->run_to(ticket)) return false;
    if (other->report() != cudaSuccess) throw Error(Code::kDevice, problem);
    return true;
  });
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  std::lock_guard<std::mutex> hold(lock);
  if (!event->queue) return cudaSuccess;  // never recorded
  Queue& queue = *event->queue;
  if (queue.done < event->ticket) queue.run_to(queue.done + 1);
  return queue.done < event->ticket ? cudaErrorNotReady : queue.report();
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  std::unique_lock<std::mutex> hold(lock);
  if (!event->queue) return cudaSuccess;
  const auto queue = event->queue;  // the event may be recorded anew meanwhile
  wait_for(*queue, event->ticket, hold);
  return queue->report();
}

cudaError_t cudaGetLastError() { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t status) { return status == cudaSuccess ? "no error" : problem.c_str(); }

}  // namespace gt::emulated
