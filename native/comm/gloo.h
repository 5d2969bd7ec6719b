// Gloo, by the plug-in gemmatune_gloo.so: for the CPU, and for GPUs through host memory.
#pragma once
#include <memory>
#include <string>

#include "comm/communicator.h"
#include "comm/rendezvous.h"
#include "core/device.h"

namespace gt::comm {

// Collective. `plugin`: the path of gemmatune_gloo.so. Throws Error(kDevice) where it or libgloo is missing.
// On TCP the ranks connect between the interfaces by which they reach rank 0, on one machine by the loopback; GLOO_SOCKET_IFNAME names another interface.
std::unique_ptr<Communicator> connect_gloo(Device& device, Rendezvous& rendezvous, const std::string& plugin);

}  // namespace gt::comm
