// Plans of products (plan.h), for every kernel family, whatever this machine has. Most are walked without computing: at the shapes of a training
// step only the addresses, at drawn shapes all that passes through scratch. Where a plan has many parts in every direction, the product is
// computed too, by the family of this machine, in scratch of exactly the planned size.
#include "ops/matmul/plan.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "testing/op_case.h"

using namespace gt;
using namespace gt::cpu;
using namespace gt::testing;

namespace {

struct Named {
  std::string name;
  Family family;
};

// Those that differ for a plan.
const std::vector<Named>& families() {
  static const std::vector<Named> all = [] {
    std::vector<Named> different;
    const auto add = [&](const char* name, const Matmul& backend) {
      for (Named& n : different)
        if (!std::memcmp(&n.family, &backend.family, sizeof(Family))) return void(n.name += text(", ", name));
      different.push_back({name, backend.family});
    };
    add("portable", matmul_portable);
#if defined(__x86_64__)
    add("avx2", matmul_avx2), add("avx512", matmul_avx512), add("avx512bf16", matmul_avx512bf16), add("amx", matmul_amx);
#endif
    return different;
  }();
  return all;
}

Product product_of(int64_t rows, int64_t cols, int64_t inner, bool keep_b, DType out_type, bool accumulate) {
  Product p{};
  p.rows = rows, p.cols = cols, p.inner = inner, p.keep_b = keep_b, p.out_type = out_type, p.accumulate = accumulate;
  return p;
}

std::string describe(const Product& p) {
  return text("[", p.rows, ", ", p.cols, "] over ", p.inner, p.keep_b ? ", b kept, " : ", a kept, ", name_of(p.out_type), p.accumulate ? " accumulated" : "");
}

// Failures say of which plan.
template <class Body>
void with_plan(const Named& n, int threads, const Product& p, const Body& body) {
  try {
    body(make_plan(n.family, threads, p));
  } catch (const Failure& e) {
    throw Failure(text(n.name, ", ", threads, " threads, ", describe(p), ": ", e.what()));
  }
}

void inside(const char* what, int64_t at, int64_t count, int64_t begin, int64_t end) {
  if (at < begin || at + count > end) throw Failure(text(what, " are words [", at, ", ", at + count, "), outside of [", begin, ", ", end, ")"));
}

int64_t panels(int64_t rows) { return (rows + kPanel - 1) / kPanel; }

// ---- addresses

// All that a task of a step touches lies in the part of scratch that is for it.
void check_task(const Plan& plan, const Product& p, const Step& step, const Task& task) {
  const int64_t slot = plan.others + task.slot * plan.other_words;
  for (int64_t i = 0; i < plan.pairs(task.t_count); i++) {
    const Pair pair = plan.other_pair(step, task, i);
    inside("panels of a task", pair.at, up(pair.rows, kPanel) * step.units, slot, slot + plan.other_words);
  }
  const int64_t kept_end = up(step.s_count, kPanel) * step.units, other_end = slot + up(task.t_count, kPanel) * step.units;  // of what is packed
  for_each_tile(plan, step, task, [&](const Tile& t) {
    if (t.rows < 1 || t.cols < 1 || t.row < 0 || t.col < 0 || t.row + t.rows > p.rows || t.col + t.cols > p.cols)
      throw Failure(text("a tile is rows [", t.row, ", ", t.row + t.rows, ") and columns [", t.col, ", ", t.col + t.cols, ") of the result"));
    const auto read = [&](int64_t at, int64_t lines, bool kept) {
      inside("panels that a tile reads", at, (panels(lines) - 1) * t.stride + t.units * kPanel, kept ? 0 : slot, kept ? kept_end : other_end);
    };
    read(t.a, t.rows, !p.keep_b), read(t.b, t.cols, p.keep_b);
    if (p.out_type == DType::f32 || (t.first && t.last)) return;
    inside("sums", t.sum, (t.rows - 1) * plan.sum_stride() + t.cols, plan.sums, plan.words);
    if ((t.sum - plan.sums) % plan.sum_stride() + t.cols > plan.sum_stride())
      throw Failure(text("sums of columns [", t.col, ", ", t.col + t.cols, ") run over the end of their row"));
  });
}

// The first two and the last two of n.
bool is_outer(int64_t i, int64_t n) { return i < 2 || i >= n - 2; }

// Along every loop addresses only rise, so what is not looked at lies between what is.
void check_addresses(const Plan& plan, const Product& p, int threads) {
  const Family& f = plan.family;
  const int64_t kept_tile = kPanel * (p.keep_b ? f.col_panels : f.row_panels), other_tile = kPanel * (p.keep_b ? f.row_panels : f.col_panels);
  const int64_t units = plan.inner_block / f.per_unit;
  check(plan.kept_words <= std::max(kKeptWords, kept_tile * units), plan.kept_words, " words are kept");
  check(plan.other_words <= std::max(kOtherWords, other_tile * units), "a slot has ", plan.other_words, " words");
  check(plan.sum_words <= std::max(kSumWords, kept_tile * plan.other_rows), "there are ", plan.sum_words, " words of sums");
  const int64_t others_end = plan.others + threads * plan.other_words, sums_end = plan.sums + plan.sum_words;
  check(plan.others >= plan.kept_words && plan.sums >= others_end && plan.words >= sums_end, "the parts of scratch overlap");
  for_each_step(plan, [&](const Step& step) {
    if (!is_outer(step.s / plan.kept_block, (plan.kept_rows + plan.kept_block - 1) / plan.kept_block)) return;
    if (!is_outer(step.k / plan.inner_block, (plan.inner + plan.inner_block - 1) / plan.inner_block)) return;
    for (int64_t i = 0; i < plan.pairs(step.s_count); i++) {
      const Pair pair = plan.kept_pair(step, i);
      inside("kept panels", pair.at, up(pair.rows, kPanel) * step.units, 0, plan.kept_words);
    }
    for (int64_t block = 0; block < plan.blocks(); block++)
      if (is_outer(block, plan.blocks())) check_task(plan, p, step, plan.task(block % 2 ? 0 : threads - 1, block));
  });
}

// ---- contents

// Follows what a plan moves: which unit of which row lies where in scratch, whose sum, and how much of the inner dimension each result has.
class Followed {
 public:
  Followed(const Plan& plan, const Product& p)
      : plan_(plan), p_(p), units_(size_t(plan.sums / kPanel), {-1, -1}), sums_(size_t(plan.sum_words), -1), done_(size_t(p.rows * p.cols), 0) {}

  void run(int threads) {
    for_each_step(plan_, [&](const Step& step) {
      for (int64_t i = 0; i < plan_.pairs(step.s_count); i++) pack(step, plan_.kept_pair(step, i));
      for (int64_t block = 0; block < plan_.blocks(); block++) {
        const Task task = plan_.task(block % std::min<int64_t>(threads, plan_.blocks()), block);
        for (int64_t i = 0; i < plan_.pairs(task.t_count); i++) pack(step, plan_.other_pair(step, task, i));
        for_each_tile(plan_, step, task, [&](const Tile& t) { multiply(t); });
      }
    });
    for (int64_t done : done_) check(done == p_.inner, "a result has ", done, " of ", p_.inner, " products");
  }

 private:
  struct Unit {
    int64_t row, k;  // of the panel's first row; the unit's first element
    bool operator==(const Unit&) const = default;
  };

  void pack(const Step& step, const Pair& pair) {
    for (int64_t first = 0; first < pair.rows; first += kPanel)
      for (int64_t u = 0; u < step.units; u++)
        units_.at(size_t((pair.at + first * step.units) / kPanel + u)) = {pair.row + first, step.k + u * plan_.family.per_unit};
  }

  // The rows of a side must be there, all from the same element on, which it returns.
  int64_t read(int64_t at, int64_t row, int64_t rows, const Tile& t) {
    const int64_t k = units_.at(size_t(at / kPanel)).k;
    for (int64_t panel = 0; panel < panels(rows); panel++)
      for (int64_t u : {int64_t(0), t.units - 1}) {
        const Unit found = units_.at(size_t((at + panel * t.stride) / kPanel + u)), want{row + panel * kPanel, k + u * plan_.family.per_unit};
        if (found != want) throw Failure(text("a tile finds element ", found.k, " of row ", found.row, " where it needs ", want.k, " of row ", want.row));
      }
    return k;
  }

  void multiply(const Tile& t) {
    const int64_t k = read(t.a, t.row, t.rows, t), same = read(t.b, t.col, t.cols, t), end = std::min(p_.inner, k + t.units * plan_.family.per_unit);
    if (k != same || t.first != (k == 0) || t.last != (end == p_.inner))
      throw Failure(text("a tile takes a from ", k, " and b from ", same, " on, to ", end, t.first ? ", first" : "", t.last ? ", last" : ""));
    for (int64_t r = 0; r < t.rows; r++)
      for (int64_t c = 0; c < t.cols; c++) {
        const int64_t at = (t.row + r) * p_.cols + t.col + c;
        if (done_[size_t(at)] != k) throw Failure(text("element ", at, " has ", done_[size_t(at)], " products where those from ", k, " on come"));
        done_[size_t(at)] = end;
        if (p_.out_type == DType::f32) continue;
        const int64_t sum = t.sum - plan_.sums + r * plan_.sum_stride() + c;
        if (!t.first && sums_.at(size_t(sum)) != at) throw Failure(text("the sum of element ", at, " is that of ", sums_[size_t(sum)]));
        if (!t.last) sums_.at(size_t(sum)) = at;
      }
  }

  const Plan& plan_;
  const Product& p_;
  std::vector<Unit> units_;
  std::vector<int64_t> sums_, done_;
};

// ---- numbers

// A factor of whole numbers that needs little memory: element (r, k) is number r + k · inner_stride. So rows r + inner_stride are rows r, one element on.
template <class T>
struct Hankel {
  std::vector<int> numbers;
  std::vector<T> data;
  int64_t inner_stride;

  Hankel(Random& random, int64_t rows, int64_t inner, int64_t inner_stride, int64_t most) : inner_stride(inner_stride) {
    for (int64_t n = rows + (inner - 1) * inner_stride; n > 0; n--) {
      const int v = int(random.below(2 * most + 1) - most);
      numbers.push_back(v);
      if constexpr (std::is_same_v<T, bf16>) data.push_back(to_bf16(float(v)));
      else data.push_back(T(v));
    }
  }
  const int* row(int64_t r) const { return numbers.data() + r; }
  Factor factor() const { return {data.data(), 1, inner_stride}; }
};

// sum_k a(i, k) b(j, k): the result at (i - a's inner_stride, j - b's) is the same sum, one element earlier.
template <class T>
std::vector<int> exact_product(const Hankel<T>& a, const Hankel<T>& b, int64_t rows, int64_t cols, int64_t inner) {
  const int64_t s = a.inner_stride, t = b.inner_stride;
  std::vector<int> out(size_t(rows * cols));
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < cols; j++) {
      int sum = 0;
      if (i >= s && j >= t) {
        const int *x = a.row(i - s), *y = b.row(j - t);
        sum = out[size_t((i - s) * cols + j - t)] - x[0] * y[0] + x[inner * s] * y[inner * t];
      } else {
        const int *x = a.row(i), *y = b.row(j);
        for (int64_t k = 0; k < inner; k++) sum += x[k * s] * y[k * t];
      }
      out[size_t(i * cols + j)] = sum;
    }
  return out;
}

struct Corner {
  int64_t rows, cols, inner;
  bool keep_b, accumulate;
};

// All sums are whole numbers below 2^24, exact in float32 in any order; so the result is the exact one, rounded once.
template <class T, class Out>
void compute(const Corner& c, int64_t a_stride, int64_t b_stride) {
  Random random(uint64_t(c.rows + c.cols + c.inner));
  const Hankel<T> a(random, c.rows, c.inner, a_stride, 4), b(random, c.cols, c.inner, b_stride, 4);
  std::vector<int> want = exact_product(a, b, c.rows, c.cols, c.inner);
  Fenced<Out> out(c.rows * c.cols);
  if (c.accumulate)
    for (int64_t i = 0; i < out.size(); i++) {
      const int before = int(random.below(257)) - 128;
      out.set(i, before), want[size_t(i)] += before;
    }

  const Matmul& backend = matmul_of(dtype_of<T>::value);
  const Product p{a.factor(), b.factor(), dtype_of<T>::value, out.data(), dtype_of<Out>::value, c.accumulate, c.rows, c.cols, c.inner, c.keep_b};
  Threads threads(3);
  const Plan plan = make_plan(backend.family, threads.count(), p);
  check(plan.kept_rows > plan.kept_block && c.inner > plan.inner_block && plan.blocks() > 1, describe(p), ": the plan is not in many parts");
  const size_t bytes = size_t(plan.words) * 4;
  void* memory = nullptr;
  check(!posix_memalign(&memory, 64, bytes), "no memory for scratch");  // exactly that much: AddressSanitizer sees what comes before and behind
  const std::unique_ptr<void, void (*)(void*)> scratch(memory, std::free);
  std::memset(memory, 0xff, bytes);  // NaN
  backend.run(threads, memory, p);

  for (int64_t i = 0; i < out.size(); i++) {
    const float exact = float(want[size_t(i)]), rounded = std::is_same_v<Out, bf16> ? to_float(to_bf16(exact)) : exact;
    if (out.get(i) != rounded) throw Failure(text(describe(p), ": element ", i, " is ", out.get(i), ", expected ", rounded));
  }
  out.check_fences("out");
}

}  // namespace

TEST(every_address_of_a_training_step_is_in_its_place) {
  struct Weight { int64_t N, K; };
  const Weight weights[] = {{1536, 640}, {640, 1024}, {4096, 640}, {640, 2048}, {262144, 640}};  // qkv, o, gate_up, down, head of the 270M model
  for (const Named& n : families())
    for (const auto [N, K] : weights)
      for (int64_t M : {1, 2, 511, 4096, 4097, 9000, 20000})
        for (DType type : {DType::f32, DType::bf16})
          for (bool adds : {false, true})
            for (const Product& p : {product_of(M, N, K, false, type, adds), product_of(M, K, N, false, type, adds), product_of(N, K, M, true, type, adds)})
              for (int threads : {1, 2, 5, 16, 64}) with_plan(n, threads, p, [&](const Plan& plan) { check_addresses(plan, p, threads); });
}

TEST(every_part_of_a_product_passes_through_scratch_unharmed) {
  Random random(3);
  const auto one_of = [&](std::initializer_list<std::pair<int64_t, int64_t>> ranges) {
    const auto [first, end] = *(ranges.begin() + random.below(int64_t(ranges.size())));
    return first + random.below(end - first);
  };
  const auto blocks = [](int64_t n, int64_t block) { return (n + block - 1) / block; };
  for (const Named& n : families())
    for (DType out_type : {DType::f32, DType::bf16})
      for (bool accumulate : {false, true})
        for (bool keep_b : {false, true}) {
          const auto follow = [&](int64_t kept, int64_t other, int64_t inner, bool in_many_parts) {
            const Product p = product_of(keep_b ? other : kept, keep_b ? kept : other, inner, keep_b, out_type, accumulate);
            const int threads = int(1 + random.below(6));
            with_plan(n, threads, p, [&](const Plan& plan) {
              const int64_t k = blocks(kept, plan.kept_block), i = blocks(inner, plan.inner_block), t = plan.blocks();
              check(!in_many_parts || (k > 1 && i > 1 && t > 1), "expected several of ", k, " kept blocks, ", i, " of the inner dimension, ", t, " tasks");
              if (!in_many_parts && kept * other * i > 400'000) return;
              check_addresses(plan, p, threads);
              Followed(plan, p).run(threads);
            });
          };
          follow(accumulate ? 600 : 3400, 97, accumulate ? 8190 : 1279, true);
          for (int tries = 0; tries < 60; tries++) {
            const int64_t kept = one_of({{1, 70}, {200, 1100}, {3300, 4500}}), other = one_of({{1, 40}, {40, 400}, {16384, 16424}});
            follow(kept, other, one_of({{1, 1300}, {1300, 2500}, {4090, 4110}, {8000, 10000}}), false);
          }
        }
}

// Several kept blocks, blocks of the inner dimension and tasks at once, in every way in which a plan has them.
TEST(products_with_many_parts_are_exact) {
  const Corner corners[] = {
      {49, 600, 12285, true, true},  // a weight's gradient from more than 4,096 tokens
      {600, 49, 12285, false, true},
      {3400, 49, 1279, false, false},  // more rows than are kept, longer than a tile
      {49, 3400, 1279, true, false},
  };
  for (const Corner& c : corners) {
    compute<float, float>(c, 1, 2), compute<float, bf16>(c, 2, 1);
    compute<bf16, float>(c, 2, 2), compute<bf16, bf16>(c, 1, 1);
  }
  compute<bf16, bf16>({33, 16400, 4100, false, false}, 1, 1);  // the head of a model with wide rows: a tile runs through a whole block
}
