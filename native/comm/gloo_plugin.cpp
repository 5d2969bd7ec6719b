#include "comm/gloo_plugin.h"

#include <gloo/allgatherv.h>
#include <gloo/allreduce.h>
#include <gloo/broadcast.h>
#include <gloo/config.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/store.h>
#include <gloo/transport/tcp/device.h>

#include <csignal>
#include <cstring>
#include <ctime>
#include <exception>
#include <map>
#include <stdexcept>

#include "comm/sum.h"

struct gt_gloo {
  std::shared_ptr<gloo::rendezvous::Context> context;
};

namespace {

// Gloo writes to sockets without MSG_NOSIGNAL. Blocks SIGPIPE in this thread, and in those that it starts meanwhile.
class NoSigpipe {
 public:
  NoSigpipe() {
    sigset_t pending;
    sigemptyset(&pipe_), sigaddset(&pipe_, SIGPIPE);
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~NoSigpipe() {
    const timespec at_once{};
    if (!was_pending_) sigtimedwait(&pipe_, nullptr, &at_once);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t pipe_, before_;
  bool was_pending_;
};

template <class Body>
int32_t guard(char* error, const Body& body) {
  const NoSigpipe no_sigpipe;
  const char* what = "an exception of unknown type";
  std::string text;
  try {
    body();
    return 0;
  } catch (const std::exception& e) {
    text = e.what();
    what = text.c_str();
  } catch (...) {
  }
  std::strncpy(error, what, GT_GLOO_ERROR - 1);
  error[GT_GLOO_ERROR - 1] = 0;
  return 1;
}

// Every rank sets keys of its own, in the same order, before it asks for the others': setting one is an exchange of all.
class ExchangeStore : public gloo::rendezvous::Store {
 public:
  ExchangeStore(gt_gloo_exchange exchange, void* context) : exchange_(exchange), context_(context) {}

  void set(const std::string& key, const std::vector<char>& data) override {
    std::string mine = key + '\0';
    mine.append(data.begin(), data.end());
    const auto take = [](void* store, int32_t, const char* bytes, int64_t n) {
      const char* value = bytes + std::strlen(bytes) + 1;
      static_cast<ExchangeStore*>(store)->all_[bytes].assign(value, bytes + n);
    };
    if (exchange_(context_, mine.data(), int64_t(mine.size()), take, this)) throw std::runtime_error("the ranks' addresses could not be exchanged");
  }
  std::vector<char> get(const std::string& key) override { return all_.at(key); }
  void wait(const std::vector<std::string>&) override {}
  void wait(const std::vector<std::string>&, const std::chrono::milliseconds&) override {}

 private:
  gt_gloo_exchange exchange_;
  void* context_;
  std::map<std::string, std::vector<char>> all_;
};

int32_t create(int32_t rank, int32_t size, const char* host, const char* network_interface, double timeout, gt_gloo_exchange exchange, void* context, gt_gloo** out, char* error) {
  return guard(error, [&] {
    gloo::transport::tcp::attr attr;
    attr.hostname = *network_interface ? "" : host;
    attr.iface = network_interface;
    auto device = gloo::transport::tcp::CreateDevice(attr);
    auto mesh = std::make_shared<gloo::rendezvous::Context>(rank, size);
    mesh->setTimeout(std::chrono::milliseconds(int64_t(timeout * 1000)));
    ExchangeStore store(exchange, context);
    mesh->connectFullMesh(store, device);
    *out = new gt_gloo{std::move(mesh)};
  });
}

template <class T>
void sum_erased(void* to, const void* a, const void* b, size_t n) {
  gt::comm::sum(static_cast<T*>(to), static_cast<const T*>(a), static_cast<const T*>(b), n);
}

template <class T>
void all_reduce_of(gt_gloo* g, void* data, int64_t count) {
  gloo::AllreduceOptions options(g->context);
  options.setAlgorithm(gloo::AllreduceOptions::Algorithm::RING);
  options.setReduceFunction(sum_erased<T>);
  options.setOutput(static_cast<T*>(data), size_t(count));
  gloo::allreduce(options);
}

int32_t all_reduce(gt_gloo* g, void* data, int64_t count, gt_gloo_type type, char* error) {
  return guard(error, [&] {
    switch (type) {
      case GT_GLOO_FLOAT32: return all_reduce_of<float>(g, data, count);
      case GT_GLOO_BFLOAT16: return all_reduce_of<gt::bf16>(g, data, count);
      case GT_GLOO_FLOAT64: return all_reduce_of<double>(g, data, count);
      case GT_GLOO_INT32: return all_reduce_of<int32_t>(g, data, count);
    }
    throw std::invalid_argument("the type is none that is summed");
  });
}

int32_t broadcast(gt_gloo* g, void* data, int64_t bytes, int32_t root, char* error) {
  return guard(error, [&] {
    gloo::BroadcastOptions options(g->context);
    options.setOutput(static_cast<char*>(data), size_t(bytes));
    options.setRoot(root);
    gloo::broadcast(options);
  });
}

int32_t all_gatherv(gt_gloo* g, void* data, const int64_t* parts, char* error) {
  return guard(error, [&] {
    gloo::AllgathervOptions options(g->context);
    options.setOutput(static_cast<char*>(data), std::vector<size_t>(parts, parts + g->context->size));
    gloo::allgatherv(options);
  });
}

void destroy(gt_gloo* g) {
  char ignored[GT_GLOO_ERROR];
  guard(ignored, [&] { delete g; });
}

#define GT_TEXT2(x) #x
#define GT_TEXT(x) GT_TEXT2(x)
constexpr gt_gloo_functions kFunctions{GT_GLOO_VERSION, GT_TEXT(GLOO_VERSION_MAJOR) "." GT_TEXT(GLOO_VERSION_MINOR) "." GT_TEXT(GLOO_VERSION_PATCH), create, all_reduce, broadcast, all_gatherv, destroy};

}  // namespace

const gt_gloo_functions* gt_gloo_open(void) { return &kFunctions; }
