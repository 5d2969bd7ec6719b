// Why a machine cannot run the CUDA backend, in a sentence. The CUDA runtime alone reports a missing driver as an old one.
#pragma once
#include <string>

namespace gt::gpu {

// "12.4" from CUDA's 12040
std::string version_text(int version);

// "" if `library` (libcuda.so.1) is a driver that runs programs of CUDA `runtime` (as CUDA counts: 13000) and shows a device.
std::string driver_problem(const char* library, int runtime);

}  // namespace gt::gpu
