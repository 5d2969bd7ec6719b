// NCCL, for the GPUs of kind cuda.
#pragma once
#include <memory>

#include "comm/communicator.h"
#include "comm/rendezvous.h"
#include "core/device.h"

namespace gt::comm {

// Collective. Throws Error(kDevice) where there is no NCCL.
std::unique_ptr<Communicator> connect_nccl(Device& device, Rendezvous& rendezvous);

}  // namespace gt::comm
