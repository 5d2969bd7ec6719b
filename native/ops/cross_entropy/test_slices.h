// A vocabulary cut in slices, each run on its own, against the reference of the whole: for tests on any device.
#pragma once
#include <numeric>

#include "ops/cross_entropy/cross_entropy.h"
#include "ops/cross_entropy/reference.h"
#include "ops/matmul/matmul.h"
#include "ops/matmul/reference.h"
#include "testing/gpu_case.h"

namespace gt::testing {

template <class E>
struct Slices {
  Device& device;
  int64_t R, C;
  std::vector<int64_t> sizes;
  OnGpu<E> x, weight, dx;  // dx: the slices' parts, one after the other
  OnGpu<float> dweight, loss, entropy;
  OnGpu<int32_t> correct;
  std::vector<int32_t> targets;
  std::vector<double> logits;  // of all slices, as they were stored, [R, V]

  Slices(Device& device, int64_t R, int64_t C, std::vector<int64_t> sizes)
      : device(device), R(R), C(C), sizes(std::move(sizes)), x(device, R * C), weight(device, V() * C), dx(device, int64_t(this->sizes.size()) * R * C), dweight(device, V() * C), loss(device, count() * R), entropy(device, count() * R),
        correct(device, count() * R) {
    Random random(uint64_t(R * 1000 + V() + C));
    x.randomize(random), weight.randomize(random, 2 / std::sqrt(double(C))), dweight.randomize(random, 0.01);
    // Targets in every slice that has ids, its first and last id among them.
    for (int64_t round = 0; int64_t(targets.size()) < R; round++)
      for (size_t s = 0; s < this->sizes.size() && int64_t(targets.size()) < R; s++)
        if (const int64_t n = this->sizes[s]) targets.push_back(int32_t(first_of(s) + (round == 0 ? 0 : round == 1 ? n - 1 : random.below(n))));
  }
  int64_t V() const { return std::accumulate(sizes.begin(), sizes.end(), int64_t(0)); }
  int64_t count() const { return int64_t(sizes.size()); }
  int64_t first_of(size_t slice) const { return std::accumulate(sizes.begin(), sizes.begin() + std::ptrdiff_t(slice), int64_t(0)); }

  void run() {
    upload(x, weight, dweight);
    logits.assign(size_t(R * V()), 0);
    const int64_t block = R * kSliceStatistics * int64_t(sizeof(float));
    std::string table(size_t(count() * block), 0);
    // First every slice says what it has; then each goes on with what all have said.
    for (bool told : {false, true})
      for (size_t s = 0; s < sizes.size(); s++) {
        const int64_t n = sizes[s], first = first_of(s);
        OnGpu<E> own(device, R * n);
        OnGpu<float> statistics(device, count() * R * kSliceStatistics), merged(device, R * 4), spare(device, n * C);
        VocabularySlices slices{first, int(s), int(count()), statistics.tensor({count(), R, kSliceStatistics}), merged.tensor({R, 4}), [&] {
          char* all = static_cast<char*>(slices_data(statistics));
          if (!told) device.copy_to_host(table.data() + int64_t(s) * block, all + int64_t(s) * block, size_t(block));
          for (int64_t other = 0; told && other < count(); other++)
            if (other != int64_t(s)) device.copy_from_host(all + other * block, table.data() + other * block, size_t(block));
        }};
        const auto rows = [&](auto& t, int64_t at, int64_t of) { return t.tensor({t.size()}).rows(at, of); };
        const auto matrix = [&](Tensor t, int64_t a, int64_t b) { return Tensor(t.data, t.dtype, {a, b}); };
        const int64_t at = int64_t(s) * R;
        linear_cross_entropy_of_slice(device, rows(loss, at, R), rows(entropy, at, R), rows(correct, at, R), matrix(rows(dx, at * C, R * C), R, C), told ? matrix(rows(dweight, first * C, n * C), n, C) : spare.tensor({n, C}), own.tensor({R, n}),
                                      x.tensor({R, C}), matrix(rows(weight, first * C, n * C), n, C), host_ids(targets.data(), R), slices);
        if (told) continue;
        // The slice's logits as they are stored.
        if (n == 0) continue;
        OnGpu<E> stored(device, R * n);
        matmul_forward(device, stored.tensor({R, n}), x.tensor({R, C}), matrix(rows(weight, first * C, n * C), n, C));
        stored.download();
        for (int64_t r = 0; r < R; r++)
          for (int64_t v = 0; v < n; v++) logits[size_t(r * V() + first + v)] = stored.get(r * n + v);
      }
    download(loss, entropy, correct, dx, dweight);
  }

  // The same row of every slice's result.
  void check_alike() {
    for (int64_t i = R; i < count() * R; i++) {
      const auto same = [&](float a, float b) { return !std::memcmp(&a, &b, 4); };
      check(same(loss[i], loss[i % R]) && same(entropy[i], entropy[i % R]) && correct[i] == correct[i % R], "row ", i % R, " has other statistics on slice ", i / R, ": loss ", loss[i], " and ", loss[i % R]);
    }
  }

 private:
  static void* slices_data(OnGpu<float>& t) { return t.tensor({t.size()}).data; }
};

template <class E>
void slices_match_the_reference(Device& device, int64_t R, int64_t C, std::vector<int64_t> sizes) {
  Slices<E> c(device, R, C, std::move(sizes));
  const int64_t V = c.V();
  const bool narrow = std::is_same_v<E, bf16>;
  auto dweight = c.dweight.values();
  auto dweight_f = c.dweight.template values<float>();
  const auto x = c.x.values(), weight = c.weight.values();
  const auto xf = c.x.template values<float>(), weight_f = c.weight.template values<float>();
  c.run();
  c.check_alike();

  const auto as_stored = [&](std::vector<float> v) { return narrow ? rounded(v) : v; };
  const auto want = reference::cross_entropy(reference::matmul(x, weight, R, V, C), c.targets, V);
  const auto f = reference::cross_entropy(as_stored(reference::matmul(xf, weight_f, R, V, C)), c.targets, V);
  const auto dlogits_f = as_stored(f.dlogits);
  const auto dx = reference::matmul_backward_input(want.dlogits, weight, R, V, C);
  reference::matmul_backward_weight(dweight, want.dlogits, x, R, V, C);
  reference::matmul_backward_weight(dweight_f, dlogits_f, xf, R, V, C);

  std::vector<double> sum(size_t(R * C));
  for (int64_t i = 0; i < c.dx.size(); i++) sum[size_t(i % (R * C))] += c.dx.get(i);
  Fenced<float> loss(R), entropy(R), whole(R * C);
  for (int64_t r = 0; r < R; r++) loss[r] = c.loss[r], entropy[r] = c.entropy[r];
  for (int64_t i = 0; i < R * C; i++) whole[i] = float(sum[size_t(i)]);
  check_close("loss", loss, want.loss, max_error(f.loss, want.loss));
  check_close("entropy", entropy, want.entropy, max_error(f.entropy, want.entropy));
  // Each part is rounded by itself.
  check_close("dx", whole, dx, double(c.count()) * max_error(as_stored(reference::matmul_backward_input(dlogits_f, weight_f, R, V, C)), dx));
  check_close("dweight", c.dweight, dweight, max_error(dweight_f, dweight));
  const auto stored = reference::cross_entropy(c.logits, c.targets, V);
  for (int64_t r = 0; r < R; r++) check(c.correct[r] == stored.correct[size_t(r)], "correct[", r, "] is ", c.correct[r]);
}

// A weight that is not a number in one slice: every row is NaN on all.
template <class E>
void slices_spread_nan(Device& device) {
  for (int64_t bad : {0, 15, 16, 39}) {
    Slices<E> c(device, 4, 8, {16, 24});
    c.x.fill(1);
    for (int64_t i = 0; i < 8; i++) c.x.set(i, 0);  // row 0 is zero: NaN · 0 is NaN all the same
    c.weight.set(bad * 8 + 3, NAN);
    c.run();
    c.check_alike();
    for (int64_t r = 0; r < 8; r++) check(std::isnan(c.loss[r]) && std::isnan(c.entropy[r]) && c.correct[r] == 0, "NaN at id ", bad, ": loss ", c.loss[r]);
    for (int64_t i = 0; i < c.dx.size(); i++) check(std::isnan(c.dx.get(i)), "NaN at id ", bad, ": dx is ", c.dx.get(i));
  }
}

// An infinite logit in one row and one slice: that row is NaN on all slices, other rows are as they were.
template <class E>
void slices_spread_an_infinity_in_its_row_alone(Device& device) {
  for (int64_t bad : {0, 15, 16, 39})
    for (double sign : {-1., 1.}) {
      Slices<E> c(device, 4, 8, {16, 24, 0});
      for (int64_t r = 0; r < 4; r++) c.x.set(r * 8 + 5, r == 2 ? 1e30 : 0);
      for (int64_t v = 0; v < 40; v++) c.weight.set(v * 8 + 5, v == bad ? sign * 1e30 : 0);
      c.run();
      c.check_alike();
      for (int64_t r = 0; r < 4; r++) {
        check(std::isnan(c.loss[r]) == (r == 2) && std::isnan(c.entropy[r]) == (r == 2) && (r != 2 || c.correct[r] == 0), "infinity at id ", bad, " of row 2: row ", r, " has loss ", c.loss[r]);
        for (int64_t s = 0; s < 2; s++)
          for (int64_t i = 0; i < 8; i++) check(std::isnan(c.dx.get((s * 4 + r) * 8 + i)) == (r == 2), "infinity at id ", bad, " of row 2: row ", r, " of slice ", s, " has dx ", c.dx.get((s * 4 + r) * 8 + i));
      }
    }
}

// A slice whose logits are so far below the peak that their distance, times their number, is no float32: it has no weight, and is no reason for NaN. Nor is
// one without ids.
template <class E>
void slices_take_logits_that_are_far_apart(Device& device) {
  Slices<E> c(device, 2, 8, {8, 4096, 8, 0});
  c.x.fill(1), c.weight.fill(-1e35);
  for (int64_t id : {3, 4109})
    for (int64_t i = 0; i < 8; i++) c.weight.set(id * 8 + i, 1e35);
  c.targets = {3, 4109};
  c.run();
  c.check_alike();
  for (int64_t r = 0; r < 2; r++) {
    check(std::abs(c.loss[r] - std::log(2.f)) < 1e-6f && std::abs(c.entropy[r] - std::log(2.f)) < 1e-6f, "loss ", c.loss[r], ", entropy ", c.entropy[r], ", expected log 2");
    check(c.correct[r] == (r == 0), "correct[", r, "] is ", c.correct[r]);
  }
}

// Equal logits in two slices: the lower id is the argmax.
template <class E>
void slices_give_ties_to_the_lowest_id(Device& device) {
  Slices<E> c(device, 4, 8, {16, 8, 16});
  c.x.fill(1), c.weight.fill(-1);
  for (int64_t id : {13, 20, 35})
    for (int64_t i = 0; i < 8; i++) c.weight.set(id * 8 + i, 1);
  c.targets = {13, 20, 35, 0};
  c.run();
  for (int64_t i = 0; i < c.correct.size(); i++) check(c.correct[i] == (i % 4 == 0), "target ", c.targets[size_t(i % 4)], ": correct is ", c.correct[i]);
}

}  // namespace gt::testing
