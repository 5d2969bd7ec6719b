#include "comm/nccl_library.h"

#include <dlfcn.h>
#include <glob.h>
#include <sys/statvfs.h>

#include <cstdint>
#include <cstdlib>

#include "core/error.h"

namespace gt::comm::nccl {
namespace {

constexpr const char* kFile = "libnccl.so.2";
constexpr int64_t kSharedMemory = int64_t(64) << 20;  // bytes

void append_matches(std::vector<std::string>& to, const std::string& pattern) {
  glob_t found;
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0) to.insert(to.end(), found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

template <class Function>
void bind(void* library, const std::string& path, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  require(function, Code::kDevice, path, " is not NCCL ", version_text(kOldest), " or newer: it lacks ", name);
}

// Throws Error(kDevice), one clause, where `path` is of no use.
Library open_one(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) throw Error(Code::kDevice, dlerror());  // names the file
  try {
    Library l;
    l.path = path;
    Result (*get_version)(int*);
    bind(library, path, "ncclGetVersion", get_version);
    get_version(&l.version);
    require(l.version >= kOldest, Code::kDevice, path, " is NCCL ", version_text(l.version), ", expected ", version_text(kOldest), " or newer");
    bind(library, path, "ncclGetUniqueId", l.get_unique_id);
    bind(library, path, "ncclCommInitRankConfig", l.init_rank);
    bind(library, path, "ncclCommFinalize", l.finalize);
    bind(library, path, "ncclCommDestroy", l.destroy);
    bind(library, path, "ncclCommAbort", l.abort_comm);
    bind(library, path, "ncclCommGetAsyncError", l.async_error);
    bind(library, path, "ncclGetErrorString", l.error_string);
    bind(library, path, "ncclGetLastError", l.last_error);
    bind(library, path, "ncclAllReduce", l.all_reduce);
    bind(library, path, "ncclBroadcast", l.broadcast);
    bind(library, path, "ncclReduce", l.reduce);
    bind(library, path, "ncclGroupStart", l.group_start);
    bind(library, path, "ncclGroupEnd", l.group_end);
    return l;
  } catch (...) {
    dlclose(library);
    throw;
  }
}

}  // namespace

std::string version_text(int version) { return text(version / 10000, ".", version / 100 % 100, ".", version % 100); }

std::vector<std::string> candidates() {
  if (const std::string file = variable("GEMMATUNE_NCCL"); !file.empty()) return {file};
  std::vector<std::string> files = {kFile}, folders;
  for (const char* environment : {"VIRTUAL_ENV", "CONDA_PREFIX"})
    if (const std::string root = variable(environment); !root.empty()) {
      append_matches(files, root + "/lib/" + kFile);
      append_matches(folders, root + "/lib/python3*/site-packages");
    }
  for (const char* pattern : {"/usr/local/lib/python3*/dist-packages", "/usr/local/lib/python3*/site-packages", "/usr/lib/python3*/dist-packages"}) append_matches(folders, pattern);
  if (const std::string home = variable("HOME"); !home.empty()) append_matches(folders, home + "/.local/lib/python3*/site-packages");
  for (const std::string& folder : folders)
    for (const char* inside : {"/nvidia/nccl/lib/", "/torch/lib/"}) append_matches(files, folder + inside + kFile);
  return files;
}

Library open(const std::vector<std::string>& candidates) {
  std::string problems;
  for (const std::string& path : candidates) {
    try {
      return open_one(path);
    } catch (const Error& e) {
      problems += (problems.empty() ? "" : "; ") + std::string(e.what());
    }
  }
  throw Error(Code::kDevice, text("NCCL ", version_text(kOldest), " or newer was not found (", problems, "); looked for the file in GEMMATUNE_NCCL, else for ", kFile,
                                  " on the loader's path and in Python's site-packages (VIRTUAL_ENV, CONDA_PREFIX, /usr/local/lib, /usr/lib, ~/.local/lib); install it (pip install nvidia-nccl-cu12), or "
                                  "use --collectives gloo"));
}

void require_shared_memory(const std::string& path) {
  struct statvfs s;
  require(statvfs(path.c_str(), &s) == 0, Code::kDevice, path, " is not there: NCCL needs it for ranks on one machine; mount a tmpfs there, or set NCCL_SHM_DISABLE=1");
  const int64_t free = int64_t(s.f_bavail) * int64_t(s.f_frsize);
  require(free >= kSharedMemory, Code::kDevice, path, " has ", free >> 20, " MiB free, NCCL needs ", kSharedMemory >> 20,
          " or more for ranks on one machine: give the container more (docker: --shm-size=1g; Kubernetes: an emptyDir of medium Memory mounted at /dev/shm)");
}

}  // namespace gt::comm::nccl
