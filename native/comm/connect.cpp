#include "comm/connect.h"

#include "comm/gloo.h"
#include "comm/nccl.h"
#include "comm/single.h"

namespace gt::comm {

std::unique_ptr<Communicator> connect(Device& device, Rendezvous& rendezvous, const std::string& library, const std::string& plugin) {
  require(library == "auto" || library == "gloo" || library == "nccl", Code::kArgument, "the collectives library is \"", library, "\", expected \"auto\", \"gloo\" or \"nccl\"");
  if (rendezvous.size() == 1) return std::make_unique<Single>();
  const bool nccl = library == "nccl" || (library == "auto" && device.kind == DeviceKind::cuda);
  require(!nccl || device.kind == DeviceKind::cuda, Code::kArgument, "NCCL is for cuda, the device is ", name_of(device.kind), "; expected \"auto\" or \"gloo\"");
  // Ranks that chose differently would wait for each other in different libraries.
  rendezvous.gather("collectives", nccl ? "connect with nccl" : "connect with gloo", "");
  return nccl ? connect_nccl(device, rendezvous) : connect_gloo(device, rendezvous, plugin);
}

}  // namespace gt::comm
