#include "gpu/driver.h"

#include <dlfcn.h>

#include <cstdlib>

#include "core/error.h"

namespace gt::gpu {

std::string version_text(int version) { return text(version / 1000, ".", version % 1000 / 10); }

// The oldest driver branch for programs of a CUDA major version (NVIDIA, "CUDA Compatibility").
static const char* driver_for(int major) { return major >= 13 ? "580" : major == 12 ? "525" : "450"; }

std::string driver_problem(const char* library, int runtime) {
  void* driver = dlopen(library, RTLD_NOW | RTLD_LOCAL);  // stays open: a driver is never unloaded
  if (!driver) return text("there is no NVIDIA driver on this machine: ", library, " was not found (in a container, the host must pass its GPU in, as docker does with --gpus all)");
  using Version = int (*)(int*);
  using Init = int (*)(unsigned);
  using Count = int (*)(int*);
  const auto get_version = reinterpret_cast<Version>(dlsym(driver, "cuDriverGetVersion"));
  const auto init = reinterpret_cast<Init>(dlsym(driver, "cuInit"));
  const auto get_count = reinterpret_cast<Count>(dlsym(driver, "cuDeviceGetCount"));
  if (!get_version || !init || !get_count) return text(library, " is not an NVIDIA driver: it lacks cuInit, cuDriverGetVersion or cuDeviceGetCount");
  int version = 0, count = 0;
  get_version(&version);
  if (version / 1000 < runtime / 1000)
    return text("the NVIDIA driver is too old: it runs programs of CUDA ", version_text(version), " and older, this build is of CUDA ", version_text(runtime), "; install driver ", driver_for(runtime / 1000), " or newer, or use a build made with CUDA ",
                version / 1000);
  const int status = init(0);
  const bool none = status == 100 || (status == 0 && (get_count(&count) != 0 || count == 0));  // CUDA_ERROR_NO_DEVICE
  if (none) {
    const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
    return text("the NVIDIA driver shows no GPU", visible ? text(" (CUDA_VISIBLE_DEVICES is \"", visible, "\")") : "");
  }
  if (status != 0) return text("the NVIDIA driver could not start: cuInit gave error ", status, "; `nvidia-smi` may say more");
  return "";
}

}  // namespace gt::gpu
