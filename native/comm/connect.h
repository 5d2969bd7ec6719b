// Makes the communicator of a device from a rendezvous: the one place that knows which libraries there are.
#pragma once
#include <memory>
#include <string>

#include "comm/communicator.h"
#include "comm/rendezvous.h"
#include "core/device.h"

namespace gt::comm {

// library: "auto" (NCCL for cuda, Gloo for cpu and emulated), "gloo" or "nccl". A GPU's tensors go through pinned host memory with Gloo.
// `plugin`: the path of gemmatune_gloo.so. Collective. Throws Error(kDevice) where a library is missing: what was looked for, and how to get it.
// The rendezvous must live longer. One rank has no need of a library ("single").
std::unique_ptr<Communicator> connect(Device& device, Rendezvous& rendezvous, const std::string& library, const std::string& plugin);

}  // namespace gt::comm
