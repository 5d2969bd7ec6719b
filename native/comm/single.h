// The communicator of one rank: every collective is done before it begins.
#pragma once
#include "comm/communicator.h"
#include "comm/operands.h"

namespace gt::comm {

class Single : public Communicator {
 public:
  Single() : Communicator(0, 1, "single") {}
  void all_reduce(const Tensor&, const char*) override {}
  void reduce_scatter(const Tensor& x, const std::vector<int64_t>& parts, const char* what) override { require_parts("reduce_scatter", what, x, parts, 1); }
  void all_gather(const Tensor& x, const std::vector<int64_t>& parts, const char* what) override { require_parts("all_gather", what, x, parts, 1); }
  void broadcast(const Tensor& x, int root, const char* what) override { require_root(what, x, root, 1); }
  void barrier(const char*) override {}
  int64_t queued() const override { return 0; }  // what is called is done
  void wait(int64_t) override {}
  std::vector<std::string> gather(const std::string& mine, const char*) override { return {mine}; }
  Traffic traffic() const override { return {}; }
};

}  // namespace gt::comm
