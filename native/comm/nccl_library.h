// libnccl as it is found on a machine at run time: no header of NCCL or CUDA is needed to build, and the binary loads where there is none.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace gt::comm::nccl {

// The part of NCCL's public C interface that is called here. These numbers and layouts are NCCL's, the same in all versions since kOldest.
struct Comm;  // ncclComm_t is a pointer to it
struct UniqueId { char bytes[128]; };
enum Result : int { kSuccess = 0, kInProgress = 7 };
enum Type : int { kInt32 = 2, kFloat32 = 7, kFloat64 = 8, kBfloat16 = 9 };
enum Op : int { kSum = 0 };
// ncclConfig_t as of 2.14: later versions take this one for what it is, by `size` and `version`.
struct Config {
  size_t size = sizeof(Config);
  unsigned magic = 0xcafebeef, version = 21400;
  int blocking = 0;  // calls return kInProgress instead of waiting for other ranks; async_error() then tells when they are done
};

constexpr int kOldest = 21800;  // as NCCL counts: 2.18.0

struct Library {
  std::string path;
  int version = 0;

  Result (*get_unique_id)(UniqueId*);
  Result (*init_rank)(Comm**, int ranks, UniqueId, int rank, Config*);
  Result (*finalize)(Comm*);
  Result (*destroy)(Comm*);
  Result (*abort_comm)(Comm*);
  Result (*async_error)(Comm*, Result*);
  const char* (*error_string)(Result);
  const char* (*last_error)(Comm*);
  Result (*all_reduce)(const void* from, void* to, size_t count, Type, Op, Comm*, void* stream);
  Result (*broadcast)(const void* from, void* to, size_t count, Type, int root, Comm*, void* stream);
  Result (*reduce)(const void* from, void* to, size_t count, Type, Op, int root, Comm*, void* stream);
  Result (*group_start)();
  Result (*group_end)();
};

// "2.23.4" from NCCL's 22304
std::string version_text(int version);

// Where libnccl.so.2 may be on this machine, best first: the file that GEMMATUNE_NCCL names, and no other; or the loader's own search ("libnccl.so.2"), then
// the files that exist in Python environments (VIRTUAL_ENV, CONDA_PREFIX, the system's and the user's).
std::vector<std::string> candidates();

// The first of them that loads and is new enough; it stays loaded. Throws Error(kDevice) that says what was tried.
Library open(const std::vector<std::string>& candidates);

// Throws Error(kDevice) where the shared memory at `path` (/dev/shm) is too small for ranks of one machine.
void require_shared_memory(const std::string& path);

}  // namespace gt::comm::nccl
