#include "comm/gloo.h"

#include <dlfcn.h>

#include <cstdlib>

#include "comm/clock.h"
#include "comm/gloo_plugin.h"
#include "comm/operands.h"
#include "comm/queue.h"

namespace gt::comm {

// Seconds that Gloo waits longer for bytes than the rendezvous waits for a sign of life: it is the rendezvous that can say which rank is lost.
constexpr double kLonger = 5;
// Seconds in which the others hear of a rank that was lost.
constexpr double kNews = 2;

static const gt_gloo_functions& open_plugin(const std::string& plugin) {
  void* library = dlopen(plugin.c_str(), RTLD_NOW | RTLD_LOCAL);  // stays open: its threads may outlive what is asked of it
  require(library != nullptr, Code::kDevice, "Gloo cannot be used: ", library ? "" : dlerror(), " (looked for ", plugin,
          ", which needs libgloo.so.0); on Debian and Ubuntu `apt install libgloo-dev` and build from a checkout, or train on NVIDIA GPUs with NCCL");
  const auto open = reinterpret_cast<decltype(&gt_gloo_open)>(dlsym(library, "gt_gloo_open"));
  require(open != nullptr, Code::kDevice, plugin, " is no plug-in for Gloo: it lacks gt_gloo_open; expected gemmatune_gloo.so as built with the addon");
  const gt_gloo_functions& functions = *open();
  require(functions.version == GT_GLOO_VERSION, Code::kDevice, plugin, " is of version ", functions.version, ", expected ", GT_GLOO_VERSION, "; build it together with the addon");
  return functions;
}

static gt_gloo_type type_of(const char* op, const char* what, const Tensor& x) {
  switch (x.dtype) {
    case DType::f32: return GT_GLOO_FLOAT32;
    case DType::bf16: return GT_GLOO_BFLOAT16;
    case DType::f64: return GT_GLOO_FLOAT64;
    case DType::i32: return GT_GLOO_INT32;
    case DType::i16: break;
  }
  throw Error(Code::kArgument, text(describe(op, what, x), ": expected float32, bfloat16, float64 or int32"));
}

namespace {

class Gloo : public Communicator {
 public:
  Gloo(Device& device, Rendezvous& rendezvous, const gt_gloo_functions& functions)
      : Communicator(rendezvous.rank(), rendezvous.size(), text("gloo ", functions.library)), device_(device), rendezvous_(rendezvous), lane_(device.on_host() ? nullptr : device.gpu().open_lane()), mesh_(connect(functions), functions.destroy), functions_(functions) {}

  void all_reduce(const Tensor& x, const char* what) override { sum("all_reduce", x, what); }

  void reduce_scatter(const Tensor& x, const std::vector<int64_t>& parts, const char* what) override {
    require_parts("reduce_scatter", what, x, parts, size());
    sum("reduce_scatter", x, what);
  }

  void all_gather(const Tensor& x, const std::vector<int64_t>& parts, const char* what) override {
    require_parts("all_gather", what, x, parts, size());
    std::vector<int64_t> bytes;
    for (int64_t part : parts) bytes.push_back(part * size_of(x.dtype));
    // Round the ring, each passes on all but what its neighbour began with.
    const int64_t sent = x.bytes() - bytes[size_t((rank() + 1) % size())];
    start(describe("all_gather", what, x), x, sent, [this, bytes](void* data, char* error) { return functions_.all_gatherv(mesh_.get(), data, bytes.data(), error); });
  }

  void broadcast(const Tensor& x, int root, const char* what) override {
    require_root(what, x, root, size());
    const int64_t bytes = x.bytes();
    start(describe(text("broadcast from rank ", root).c_str(), what, x), x, rank() == root ? bytes : 0, [=, this](void* data, char* error) { return functions_.broadcast(mesh_.get(), data, bytes, root, error); });
  }

  void barrier(const char* what) override {
    start(text("barrier ", what), Tensor(nullptr, DType::f32, {0}), 0, nullptr);
    Communicator::wait();
  }

  int64_t queued() const override { return queue_.pushed(); }
  void wait(int64_t count) override {
    const double begun = now();
    queue_.drain(count);
    const std::lock_guard lock(mutex_);
    if (back_) device_.gpu().wait_for(back_);
    traffic_.waited += now() - begun;
  }

  std::vector<std::string> gather(const std::string& mine, const char* what) override {
    const double begun = now();
    auto all = rendezvous_.gather("host", text("gather of ", what), mine);
    const std::lock_guard lock(mutex_);
    traffic_.waited += now() - begun;
    return all;
  }

  Traffic traffic() const override {
    const std::lock_guard lock(mutex_);
    return traffic_;
  }

 private:
  using Move = std::function<int32_t(void* data, char* error)>;

  gt_gloo* connect(const gt_gloo_functions& functions) {
    struct Exchange {
      Rendezvous& rendezvous;
      std::string what;
      bool begun = false;
      std::exception_ptr error;
    } exchange{rendezvous_, text("connect with gloo ", functions.library), false, nullptr};
    const auto gather = [](void* context, const char* mine, int64_t bytes, void (*take)(void*, int32_t, const char*, int64_t), void* to) -> int32_t {
      auto& e = *static_cast<Exchange*>(context);
      e.begun = true;
      try {
        const auto all = e.rendezvous.gather("collectives", e.what, std::string(mine, size_t(bytes)));
        for (size_t rank = 0; rank < all.size(); rank++) take(to, int32_t(rank), all[rank].data(), int64_t(all[rank].size()));
        return 0;
      } catch (...) {
        e.error = std::current_exception();
        return 1;
      }
    };
    const char* network_interface = std::getenv("GLOO_SOCKET_IFNAME");
    const std::string address = rendezvous_.local_address(), host = address.empty() ? "127.0.0.1" : address;
    gt_gloo* mesh = nullptr;
    char error[GT_GLOO_ERROR];
    if (functions.create(rank(), size(), host.c_str(), network_interface ? network_interface : "", rendezvous_.rank_timeout() + kLonger, gather, &exchange, &mesh, error) == 0) return mesh;
    if (exchange.error) std::rethrow_exception(exchange.error);
    if (exchange.begun) throw lost(exchange.what, error);
    throw Error(Code::kDevice, text("Gloo cannot connect from ", network_interface ? network_interface : host.c_str(), ": ", error, "; GLOO_SOCKET_IFNAME names the network interface to use"));
  }

  void sum(const char* op, const Tensor& x, const char* what) {
    const gt_gloo_type type = type_of(op, what, x);
    const int64_t count = x.count(), sent = 2 * (size() - 1) * x.bytes() / size();
    start(describe(op, what, x), x, sent, [=, this](void* data, char* error) { return functions_.all_reduce(mesh_.get(), data, count, type, error); });
  }

  // Queues a collective that moves x in place and sends so many bytes. It begins when all ranks have come to it with their bytes ready: before that there is no
  // time after which one is late, and ranks that are at different calls find out.
  void start(const std::string& what, const Tensor& x, int64_t sent, Move move) {
    const bool staged = lane_ && x.count() > 0;
    const gpu::Mark before = staged ? device_.gpu().mark() : nullptr;
    queue_.push([=, this, move = std::move(move)] {
      void* const data = staged ? to_host(x, before) : x.data;
      rendezvous_.gather("collectives", what, "");
      const double begun = now();
      char error[GT_GLOO_ERROR];
      if (x.count() > 0 && move(data, error)) throw lost(what, error);
      if (staged) to_device(x, data);
      const std::lock_guard lock(mutex_);
      traffic_.collectives++, traffic_.bytes += sent, traffic_.busy += now() - begun;
    });
  }

  // Gloo knows an address at most; who was lost is known to the rendezvous, now or soon.
  Error lost(const std::string& what, const char* error) {
    const std::string failure = rendezvous_.failure(rendezvous_.rank_timeout() + kNews);
    return Error(Code::kRank, text(failure.empty() ? "the connection to a rank was lost" : failure, "; rank ", rank(), " of ", size(), " was in \"", what, "\": ", error));
  }

  // A GPU's tensors go through pinned memory of the lane, one collective after the other, beside the work of the compute stream.
  void* to_host(const Tensor& x, const gpu::Mark& before) {
    lane_->wait_for(before);
    void* const data = lane_->pinned(size_t(x.bytes()));
    lane_->copy_to_host(data, x.data, size_t(x.bytes()));
    lane_->synchronize();
    return data;
  }
  void to_device(const Tensor& x, const void* data) {
    lane_->copy_from_host(x.data, data, size_t(x.bytes()));
    const gpu::Mark back = lane_->mark();
    const std::lock_guard lock(mutex_);
    back_ = back;
  }

  Device& device_;
  Rendezvous& rendezvous_;
  const std::unique_ptr<gpu::Lane> lane_;  // of a GPU
  std::unique_ptr<gt_gloo, void (*)(gt_gloo*)> mesh_;
  const gt_gloo_functions& functions_;
  mutable std::mutex mutex_;  // of the next two
  Traffic traffic_;
  gpu::Mark back_;  // the last copy to the GPU so far
  Queue queue_;         // last: its thread uses the rest
};

}  // namespace

std::unique_ptr<Communicator> connect_gloo(Device& device, Rendezvous& rendezvous, const std::string& plugin) {
  return std::make_unique<Gloo>(device, rendezvous, open_plugin(plugin));
}

}  // namespace gt::comm
