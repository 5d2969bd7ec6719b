#include "comm/in_process.h"

#include <condition_variable>
#include <mutex>
#include <numeric>

namespace gt::comm {
namespace {

// Where the ranks put what they have; the last to come wakes the others.
class Table {
 public:
  explicit Table(int size) : size_(size), next_(size_t(size)) {}

  std::shared_ptr<const std::vector<std::string>> exchange(int rank, std::string mine, const std::string& what) {
    std::unique_lock lock(mutex_);
    if (come_ == 0) what_ = what;
    require(what == what_, Code::kRank, "rank ", rank, " is at '", what, "', others at '", what_, "'; every rank must make the same calls");
    next_[size_t(rank)] = std::move(mine);
    const uint64_t round = round_;
    if (++come_ == size_) {
      done_ = std::make_shared<std::vector<std::string>>(std::move(next_));
      next_.assign(size_t(size_), {});
      come_ = 0, round_++;
      all_.notify_all();
      return done_;
    }
    all_.wait(lock, [&] { return round_ != round; });
    return done_;  // the next round cannot end before this rank comes to it
  }

 private:
  const int size_;
  std::mutex mutex_;
  std::condition_variable all_;
  std::vector<std::string> next_;
  std::shared_ptr<const std::vector<std::string>> done_;
  std::string what_;
  int come_ = 0;
  uint64_t round_ = 0;
};

template <class T>
void add(std::string& sum, const std::string& more) {
  T* a = reinterpret_cast<T*>(sum.data());
  const T* b = reinterpret_cast<const T*>(more.data());
  for (size_t i = 0; i < sum.size() / sizeof(T); i++) {
    if constexpr (std::is_same_v<T, bf16>) a[i] = to_bf16(to_float(a[i]) + to_float(b[i]));
    else a[i] += b[i];
  }
}

class InProcess final : public Communicator {
 public:
  InProcess(int rank, int size, Device& device, std::shared_ptr<Table> table) : Communicator(rank, size, "in-process"), device_(device), table_(std::move(table)) {}

  void all_reduce(const Tensor& x, const char* what) override { put(x, 0, x.count(), sum(x, what)); }

  void reduce_scatter(const Tensor& x, const std::vector<int64_t>& parts, const char* what) override {
    const int64_t first = std::accumulate(parts.begin(), parts.begin() + rank(), int64_t(0)), count = parts[size_t(rank())];
    put(x, first, count, sum(x, what).substr(size_t(first * size_of(x.dtype)), size_t(count * size_of(x.dtype))));
  }

  void all_gather(const Tensor& x, const std::vector<int64_t>& parts, const char* what) override {
    const int64_t first = std::accumulate(parts.begin(), parts.begin() + rank(), int64_t(0));
    const auto all = table_->exchange(rank(), get(x, first, parts[size_t(rank())]), what);
    int64_t at = 0;
    for (size_t r = 0; r < all->size(); at += parts[r++])
      if (int(r) != rank()) put(x, at, parts[r], (*all)[r]);
    traffic_.bytes += parts[size_t(rank())] * size_of(x.dtype) * (size() - 1);
  }

  void broadcast(const Tensor& x, int root, const char* what) override {
    const auto all = table_->exchange(rank(), rank() == root ? get(x, 0, x.count()) : "", what);
    if (rank() != root) put(x, 0, x.count(), (*all)[size_t(root)]);
  }

  void barrier(const char* what) override { table_->exchange(rank(), "", what); }
  int64_t queued() const override { return 0; }  // each is done when its call returns
  void wait(int64_t) override {}
  std::vector<std::string> gather(const std::string& mine, const char* what) override { return *table_->exchange(rank(), mine, what); }
  Traffic traffic() const override { return traffic_; }

 private:
  char* at(const Tensor& x, int64_t first) const { return static_cast<char*>(x.data) + first * size_of(x.dtype); }

  std::string get(const Tensor& x, int64_t first, int64_t count) {
    std::string host(size_t(count * size_of(x.dtype)), 0);
    device_.copy_to_host(host.data(), at(x, first), host.size());
    traffic_.collectives++;
    return host;
  }
  void put(const Tensor& x, int64_t first, int64_t count, const std::string& host) {
    require(host.size() == size_t(count * size_of(x.dtype)), Code::kRank, "a rank sent ", host.size(), " bytes, expected ", count * size_of(x.dtype));
    device_.copy_from_host(at(x, first), host.data(), host.size());
  }

  std::string sum(const Tensor& x, const char* what) {
    const auto all = table_->exchange(rank(), get(x, 0, x.count()), what);
    std::string total = all->front();
    for (size_t r = 1; r < all->size(); r++) {
      if (x.dtype == DType::bf16) add<bf16>(total, (*all)[r]);
      else if (x.dtype == DType::f64) add<double>(total, (*all)[r]);
      else add<float>(total, (*all)[r]);
    }
    traffic_.bytes += x.bytes() * (size() - 1);
    return total;
  }

  Device& device_;
  std::shared_ptr<Table> table_;
  Traffic traffic_;
};

}  // namespace

std::vector<std::unique_ptr<Communicator>> in_process(const std::vector<Device*>& devices) {
  const auto table = std::make_shared<Table>(int(devices.size()));
  std::vector<std::unique_ptr<Communicator>> ranks;
  for (size_t r = 0; r < devices.size(); r++) ranks.push_back(std::make_unique<InProcess>(int(r), int(devices.size()), *devices[r], table));
  return ranks;
}

}  // namespace gt::comm
