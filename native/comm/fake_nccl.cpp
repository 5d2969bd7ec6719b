// NCCL for ranks that are threads of one process, on emulated devices: the functions that comm/nccl_library.h names, real sums over the devices' memory in the
// order of the streams, and whatever goes wrong that a test asks for (comm/fake_nccl.h). Linked with nothing of the core, like the real one.
#include "comm/fake_nccl.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "comm/nccl_library.h"
#include "core/bf16.h"

using namespace gt;
using namespace gt::comm::nccl;

namespace {

testing::FakeNccl knobs;
constexpr Result kInvalid = Result(4);

// What the ranks of a communicator do together, by its number. The first element of each array is rank 0's.
struct Collective {
  std::vector<char*> data;
  size_t come = 0, left = 0;
};
struct World {
  std::mutex mutex;
  std::map<int64_t, Collective> collectives;
};
std::mutex worlds_mutex;
std::map<std::string, std::shared_ptr<World>> worlds;

size_t size_of(Type type) { return type == kFloat64 ? 8 : type == kBfloat16 ? 2 : 4; }

template <class T>
void add(char* to, const char* from, size_t count) {
  for (size_t i = 0; i < count; i++) {
    T a, b;
    std::memcpy(&a, to + i * sizeof(T), sizeof(T)), std::memcpy(&b, from + i * sizeof(T), sizeof(T));
    if constexpr (std::is_same_v<T, bf16>) a = to_bf16(to_float(a) + to_float(b));
    else a = a + b;
    std::memcpy(to + i * sizeof(T), &a, sizeof(T));
  }
}
void add(char* to, const char* from, size_t count, Type type) {
  if (type == kFloat32) add<float>(to, from, count);
  else if (type == kBfloat16) add<bf16>(to, from, count);
  else if (type == kFloat64) add<double>(to, from, count);
  else add<int32_t>(to, from, count);
}

}  // namespace

namespace gt::comm::nccl {

struct Comm {
  int ranks, rank;
  std::shared_ptr<World> world;
  std::atomic<bool> aborted{false};
  int64_t next = 0;
  int polls = 0;  // left, before `queued` goes to the streams
  std::vector<std::pair<void*, std::function<bool()>>> queued;

  void flush() {
    for (auto& [stream, work] : queued) knobs.enqueue(stream, std::move(work));
    queued.clear();
  }
  Result begin() {
    polls = knobs.polls;
    if (polls) return kInProgress;
    return flush(), kSuccess;
  }
};

}  // namespace gt::comm::nccl

namespace {

// Communicators live until the work that they queued has let go of them.
std::mutex comms_mutex;
std::map<Comm*, std::shared_ptr<Comm>> comms;
std::shared_ptr<Comm> of(Comm* comm) {
  const std::lock_guard lock(comms_mutex);
  return comms.at(comm);
}
// What was never flushed holds the communicator that holds it.
void drop(Comm* comm) {
  const auto unflushed = std::move(comm->queued);
  const std::lock_guard lock(comms_mutex);
  comms.erase(comm);
}

thread_local int depth = 0;  // of groups
thread_local Comm* in_group = nullptr;

// `run` gets every rank's memory, and is called once, by the last to come.
Result collective(Comm* handle, char* data, void* stream, std::function<void(const std::vector<char*>&)> run) {
  if (const int refused = knobs.refuse.exchange(0)) return Result(refused);
  if (depth == 0) return kInvalid;  // none is called outside of a group
  in_group = handle;
  const int64_t number = handle->next++;
  handle->queued.emplace_back(stream, [comm = of(handle), data, number, run = std::move(run), come = false]() mutable {
    if (comm->aborted) return true;
    if (knobs.hang) return false;
    const std::lock_guard lock(comm->world->mutex);
    Collective& c = comm->world->collectives[number];
    c.data.resize(size_t(comm->ranks));
    if (!std::exchange(come, true)) {
      c.data[size_t(comm->rank)] = data;
      if (++c.come == c.data.size()) run(c.data);
    }
    if (c.come < c.data.size()) return false;
    if (++c.left == c.data.size()) comm->world->collectives.erase(number);
    return true;
  });
  return kSuccess;
}

}  // namespace

#define GT_EXPORT extern "C" __attribute__((visibility("default")))

GT_EXPORT testing::FakeNccl* fake_nccl_knobs() { return &knobs; }

GT_EXPORT Result ncclGetVersion(int* version) { return *version = knobs.version, kSuccess; }
GT_EXPORT const char* ncclGetErrorString(Result status) { return status == Result(6) ? "remote process exited or there was a network error" : status == Result(1) ? "unhandled cuda error" : "an error"; }
GT_EXPORT const char* ncclGetLastError(Comm*) { return "socketProgress: connection closed"; }

GT_EXPORT Result ncclGetUniqueId(UniqueId* id) {
  static std::atomic<int> next{0};
  *id = {};
  id->bytes[0] = 'i', id->bytes[127] = char(++next);
  return kSuccess;
}

GT_EXPORT Result ncclCommInitRankConfig(Comm** comm, int ranks, UniqueId id, int rank, Config* config) {
  if (config->size != 24 || config->magic != 0xcafebeef || config->version != 21400 || config->blocking != 0) return kInvalid;
  const auto made = std::make_shared<Comm>();
  made->ranks = ranks, made->rank = rank;
  {
    const std::lock_guard lock(worlds_mutex);
    auto& world = worlds[std::string(id.bytes, sizeof id.bytes)];
    if (!world) world = std::make_shared<World>();
    made->world = world;
  }
  knobs.started++;
  const std::lock_guard lock(comms_mutex);
  comms[*comm = made.get()] = made;
  return made->begin();
}
GT_EXPORT Result ncclCommGetAsyncError(Comm* comm, Result* status) {
  *status = Result(knobs.async_error.load());
  if (*status != kSuccess) return kSuccess;
  if (comm->polls > 0 && --comm->polls > 0) *status = kInProgress;
  else comm->flush();
  return kSuccess;
}
GT_EXPORT Result ncclCommFinalize(Comm* comm) { return comm->begin(); }
GT_EXPORT Result ncclCommDestroy(Comm* comm) {
  knobs.ended++;
  return drop(comm), kSuccess;
}
GT_EXPORT Result ncclCommAbort(Comm* comm) {
  knobs.aborted++;
  comm->aborted = true;
  return drop(comm), kSuccess;
}

GT_EXPORT Result ncclGroupStart() { return depth++, kSuccess; }
GT_EXPORT Result ncclGroupEnd() {
  if (--depth > 0 || !in_group) return kSuccess;
  return std::exchange(in_group, nullptr)->begin();
}

GT_EXPORT Result ncclAllReduce(const void* from, void* to, size_t count, Type type, Op op, Comm* comm, void* stream) {
  if (from != to || op != kSum) return kInvalid;
  return collective(comm, static_cast<char*>(to), stream, [=](const std::vector<char*>& data) {
    for (size_t r = 1; r < data.size(); r++) add(data[0], data[r], count, type);
    for (size_t r = 1; r < data.size(); r++) std::memcpy(data[r], data[0], count * size_of(type));
  });
}
GT_EXPORT Result ncclBroadcast(const void* from, void* to, size_t count, Type type, int root, Comm* comm, void* stream) {
  if (from != to) return kInvalid;
  return collective(comm, static_cast<char*>(to), stream, [=](const std::vector<char*>& data) {
    for (size_t r = 0; r < data.size(); r++)
      if (int(r) != root) std::memcpy(data[r], data[size_t(root)], count * size_of(type));
  });
}
GT_EXPORT Result ncclReduce(const void* from, void* to, size_t count, Type type, Op op, int root, Comm* comm, void* stream) {
  if (from != to || op != kSum) return kInvalid;
  return collective(comm, static_cast<char*>(to), stream, [=](const std::vector<char*>& data) {
    for (size_t r = 0; r < data.size(); r++)
      if (int(r) != root) add(data[size_t(root)], data[r], count, type);
  });
}
