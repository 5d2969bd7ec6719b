// gpu_plan [--as T4|A100|A10|L4|H200] [--level sm75|sm80] [filter ...]: what each call of ops_bench would launch on a GPU that is not there, one JSON line
// each, after a line of the sizes that the backend cuts work by. Nothing runs: it is linked with gpu/dry_run.cpp. scripts/kernel-gates.mjs reads it.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "bench/cases.h"
#include "gpu/dry_run.h"
#include "model/head.h"
#include "ops/cross_entropy/gpu.h"
#include "ops/matmul/gpu.h"

using namespace gt;
using namespace gt::bench;

namespace {

struct Card {
  const char* name;
  int capability, multiprocessors;
  int64_t memory;  // GB that programs get
};
constexpr Card kCards[] = {{"T4", 75, 40, 15}, {"A100", 80, 108, 40}, {"A10", 86, 72, 23}, {"L4", 89, 58, 22}, {"H200", 90, 132, 140}};

std::string json(const std::vector<gpu::Launch>& launches) {
  std::string list;
  for (const gpu::Launch& l : launches)
    list += text(list.empty() ? "" : ",", "{\"kernel\":\"", l.kernel, "\",\"grid\":[", l.grid[0], ",", l.grid[1], ",", l.grid[2], "],\"threads\":", l.threads, ",\"shared\":", l.shared_bytes, "}");
  return "[" + list + "]";
}

void plan(const std::vector<std::string>& filters, gpu::Level highest) {
  Device device(DeviceKind::cuda, 0, 0, highest);
  for (const Case& c : cases(filters)) {
    Bench b(device, DType::bf16, kGpuStep, [&](const Call& call, const std::function<void()>& body) {
      gpu::take_launches();
      body();
      std::printf("{\"folder\":\"%s\",\"op\":\"%s\",\"shape\":\"%s\",\"bytes\":%.0f,\"flops\":%.0f,\"completion\":%lld,\"full\":%lld,\"launches\":%s}\n", c.name, call.op, call.shape.c_str(), call.bytes, call.flops, (long long)call.per_step.completion,
                  (long long)call.per_step.full, json(gpu::take_launches()).c_str());
    });
    c.body(b);
  }
}

}  // namespace

int main(int argc, char** argv) {
  gpu::Level level = gpu::Level::sm80;
  std::vector<std::string> filters;
  for (int i = 1; i < argc; i++) {
    const std::string option = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
    const Card* card = std::find_if(std::begin(kCards), std::end(kCards), [&](const Card& c) { return c.name == value; });
    if (option == "--as" && card != std::end(kCards)) gpu::dry_run_device(card->name, card->capability, card->multiprocessors, card->memory * 1000000000), i++;
    else if (option == "--level" && (value == "sm75" || value == "sm80")) level = value == "sm75" ? gpu::Level::sm75 : gpu::Level::sm80, i++;
    else if (option.rfind("--", 0) != 0) filters.push_back(option);
    else return std::fprintf(stderr, "gpu_plan: %s %s is unknown, expected --as T4|A100|A10|L4|H200, --level sm75|sm80, or the start of an op's name\n", option.c_str(), value.c_str()), 2;
  }
  std::printf("{\"hostLogits\":%lld,\"gpuLogits\":%lld,\"vocabularyChunk\":%lld,\"sumTile\":%lld,\"sumBlocks\":%lld,\"sumTokens\":%lld}\n", (long long)kHostLogits, (long long)kGpuLogits, (long long)gpu::kVocabularyChunk,
              (long long)gpu::kSumTile, (long long)gpu::kSumBlocks, (long long)gpu::kSumTokens);
  try {
    plan(filters, level);
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "gpu_plan: %s\n", e.what());
    return 1;
  }
}
