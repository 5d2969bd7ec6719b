// CPU backend of cast: sixteen lanes, pieces in parallel.
#include "ops/cast/cpu.h"

#include "cpu/rows.h"

namespace gt::cpu {
namespace {

constexpr int64_t kPiece = 65536;

template <class To, class From>
void convert(Threads& threads, To* to, const From* from, int64_t N) {
  threads.ranges(N, kPiece, [&](int64_t begin, int64_t end) {
    lanes(end - begin, [&](int64_t i, int64_t n) { put(to + begin + i, get(from + begin + i, n), n); });
  });
}

}  // namespace

extern const Cast GT_TABLE(cast);
const Cast GT_TABLE(cast) = {convert<bf16, float>, convert<float, bf16>};

}  // namespace gt::cpu
