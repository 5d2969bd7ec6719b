#include "bench/cases.h"

#include <algorithm>
#include <cstring>

#include "testing/check.h"

namespace gt::bench {

Data::Data(Device& device, DType dtype, std::initializer_list<int64_t> shape, float scale) : tensor(nullptr, dtype, shape) {
  memory = Buffer(device, tensor.bytes());
  tensor.data = memory.data();
  if (dtype != DType::f32 && dtype != DType::bf16) return;
  testing::Random random(1);
  std::vector<char> block(size_t(std::min<int64_t>(tensor.bytes(), 1 << 22)));
  for (size_t i = 0; i < block.size() / size_t(size_of(dtype)); i++) {
    const float v = scale * float(2 * random.uniform() - 1);
    const bf16 narrow = to_bf16(v);
    if (dtype == DType::f32) std::memcpy(&block[4 * i], &v, 4);
    else std::memcpy(&block[2 * i], &narrow, 2);
  }
  for (int64_t at = 0; at < tensor.bytes(); at += int64_t(block.size()))
    device.copy_from_host(memory.data() + at, block.data(), size_t(std::min<int64_t>(int64_t(block.size()), tensor.bytes() - at)));
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {{"embedding", embedding}, {"rmsnorm", rmsnorm}, {"matmul", matmul}, {"qk_norm_rope", qk_norm_rope}, {"attention", attention},
                                        {"geglu", geglu}, {"gather", gather}, {"cross_entropy", cross_entropy}, {"kv_cache", kv_cache}, {"global_norm", global_norm},
                                        {"adamw", adamw}, {"sampling", sampling}, {"step", step}};
  return all;
}

std::vector<Case> cases(const std::vector<std::string>& filters) {
  const auto fits = [](const Case& c, const std::string& filter) { return std::string(c.name).rfind(filter, 0) == 0; };
  std::string names;
  for (const Case& c : cases()) names += (names.empty() ? "" : ", ") + std::string(c.name);
  for (const std::string& filter : filters)
    require(std::any_of(cases().begin(), cases().end(), [&](const Case& c) { return fits(c, filter); }), Code::kArgument, "no op starts with \"", filter, "\", expected the start of one of: ", names);
  std::vector<Case> chosen;
  for (const Case& c : cases())
    if (filters.empty() || std::any_of(filters.begin(), filters.end(), [&](const std::string& f) { return fits(c, f); })) chosen.push_back(c);
  return chosen;
}

double moved(std::initializer_list<Tensor> operands) {
  double bytes = 0;
  for (const Tensor& t : operands) bytes += double(t.bytes());
  return bytes;
}

std::string dims(std::initializer_list<int64_t> sizes) {
  std::string s;
  for (int64_t n : sizes) s = text(s, s.empty() ? "" : "x", n);
  return s;
}

std::vector<int32_t> ids(int64_t n, int64_t limit) {
  testing::Random random(2);
  std::vector<int32_t> v(static_cast<size_t>(n));
  for (int32_t& id : v) id = int32_t(random.below(limit));
  return v;
}

std::vector<int32_t> supervised_rows(const Shapes& s, int64_t count) {
  std::vector<int32_t> rows;
  for (int64_t i = 0; i < s.sequences; i++)
    for (int64_t t = s.length - 1 - count; t < s.length - 1; t++) rows.push_back(int32_t(i * s.length + t));
  return rows;
}

std::vector<int32_t> even_starts(const Shapes& s) {
  std::vector<int32_t> starts;
  for (int64_t i = 0; i <= s.sequences; i++) starts.push_back(int32_t(i * s.length));
  return starts;
}

}  // namespace gt::bench
