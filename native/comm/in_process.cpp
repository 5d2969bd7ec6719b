#include "comm/in_process.h"

#include <condition_variable>
#include <cstring>
#include <mutex>

#include "comm/clock.h"
#include "comm/operands.h"
#include "comm/sum.h"

namespace gt::comm {

using Bytes = std::shared_ptr<const std::vector<std::string>>;  // of every rank

// Where the threads meet: each brings its bytes, and all leave with everybody's.
class Meeting {
 public:
  explicit Meeting(int size) : size_(size), what_(size_t(size)), brought_(size_t(size)) {}

  Bytes exchange(int rank, const std::string& what, std::string mine) {
    std::unique_lock lock(mutex_);
    require_alive(rank, what);
    what_[size_t(rank)] = what, brought_[size_t(rank)] = std::move(mine);
    const int64_t round = round_;
    if (++arrived_ == size_) finish();
    changed_.wait(lock, [&] { return round_ > round || !failure_.empty(); });
    if (round_ == round) require_alive(rank, what);
    return all_;  // of this round: the next ends only when this rank is in it
  }

  void leave(int rank) {
    const std::lock_guard lock(mutex_);
    if (failure_.empty()) failure_ = text("rank ", rank, " has left");
    changed_.notify_all();
  }

 private:
  void require_alive(int rank, const std::string& what) const { require(failure_.empty(), Code::kRank, failure_, "; rank ", rank, " of ", size_, " was at \"", what, "\""); }

  void finish() {
    for (int rank = 1; rank < size_ && failure_.empty(); rank++)
      if (what_[size_t(rank)] != what_[0])
        failure_ = text("rank ", rank, " is at \"", what_[size_t(rank)], "\" while rank 0 is at \"", what_[0], "\"; every rank must make the same calls in the same order");
    if (failure_.empty()) {
      all_ = std::make_shared<const std::vector<std::string>>(std::move(brought_));
      brought_.assign(size_t(size_), "");
      arrived_ = 0, round_++;
    }
    changed_.notify_all();
  }

  const int size_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> what_, brought_;
  Bytes all_;
  std::string failure_;
  int arrived_ = 0;
  int64_t round_ = 0;
};

template <class T>
static std::string summed(const std::vector<std::string>& all, size_t n) {
  std::string out = all[0];
  const auto to = reinterpret_cast<T*>(out.data());
  for (size_t rank = 1; rank < all.size(); rank++) sum(to, to, reinterpret_cast<const T*>(all[rank].data()), n);
  return out;
}

namespace {

class InProcess : public Communicator {
 public:
  InProcess(int rank, int size, Device& device, std::shared_ptr<Meeting> meeting) : Communicator(rank, size, "in-process"), device_(device), meeting_(std::move(meeting)) {}
  ~InProcess() override { meeting_->leave(rank()); }

  void all_reduce(const Tensor& x, const char* what) override { write(x, sum_of(x, *exchange(describe("all_reduce", what, x), read(x)))); }

  void reduce_scatter(const Tensor& x, const std::vector<int64_t>& parts, const char* what) override {
    require_parts("reduce_scatter", what, x, parts, size());
    const Bytes all = exchange(describe("reduce_scatter", what, x), read(x));
    const int64_t first = first_of(parts, rank()) * size_of(x.dtype), bytes = parts[size_t(rank())] * size_of(x.dtype);
    write(piece(x, first), sum_of(x, *all).substr(size_t(first), size_t(bytes)));
  }

  void all_gather(const Tensor& x, const std::vector<int64_t>& parts, const char* what) override {
    require_parts("all_gather", what, x, parts, size());
    const int64_t first = first_of(parts, rank()) * size_of(x.dtype), bytes = parts[size_t(rank())] * size_of(x.dtype);
    const Bytes all = exchange(describe("all_gather", what, x), read(x).substr(size_t(first), size_t(bytes)));
    std::string whole;
    for (const std::string& part : *all) whole += part;
    write(x, whole);
  }

  void broadcast(const Tensor& x, int root, const char* what) override {
    require_root(what, x, root, size());
    write(x, (*exchange(describe(text("broadcast from rank ", root).c_str(), what, x), rank() == root ? read(x) : ""))[size_t(root)]);
  }

  void barrier(const char* what) override { exchange(text("barrier ", what), ""); }
  int64_t queued() const override { return 0; }  // what is called is done
  void wait(int64_t) override {}
  std::vector<std::string> gather(const std::string& mine, const char* what) override { return *exchange(text("gather of ", what), mine); }
  Traffic traffic() const override { return traffic_; }

 private:
  Bytes exchange(const std::string& what, std::string mine) {
    const double begun = now();
    traffic_.collectives++, traffic_.bytes += int64_t(mine.size()) * (size() - 1);
    const Bytes all = meeting_->exchange(rank(), what, std::move(mine));
    const double seconds = now() - begun;
    traffic_.busy += seconds, traffic_.waited += seconds;
    return all;
  }

  std::string read(const Tensor& x) {
    std::string bytes(size_t(x.bytes()), 0);
    device_.synchronize();
    if (!bytes.empty()) device_.copy_to_host(bytes.data(), x.data, bytes.size());
    return bytes;
  }
  void write(const Tensor& x, const std::string& bytes) {
    if (!bytes.empty()) device_.copy_from_host(x.data, bytes.data(), bytes.size());
  }
  static Tensor piece(const Tensor& x, int64_t first_byte) { return Tensor(static_cast<char*>(x.data) + first_byte, x.dtype, {}); }

  static std::string sum_of(const Tensor& x, const std::vector<std::string>& all) {
    const size_t n = size_t(x.count());
    switch (x.dtype) {
      case DType::f32: return summed<float>(all, n);
      case DType::bf16: return summed<bf16>(all, n);
      case DType::f64: return summed<double>(all, n);
      case DType::i32: return summed<int32_t>(all, n);
      case DType::i16: return summed<int16_t>(all, n);
    }
    throw Error(Code::kInternal, "a tensor of no type");
  }

  Device& device_;
  std::shared_ptr<Meeting> meeting_;
  Traffic traffic_;
};

}  // namespace

std::vector<std::unique_ptr<Communicator>> in_process(const std::vector<Device*>& devices) {
  const int size = int(devices.size());
  const auto meeting = std::make_shared<Meeting>(size);
  std::vector<std::unique_ptr<Communicator>> all;
  for (int rank = 0; rank < size; rank++) all.push_back(std::make_unique<InProcess>(rank, size, *devices[size_t(rank)], meeting));
  return all;
}

}  // namespace gt::comm
