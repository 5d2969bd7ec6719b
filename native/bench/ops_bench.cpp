// ops_bench [--device cpu|cuda|cuda:N|emulated] [--dtype bfloat16|float32] [--level sm75|sm80] [--threads N] [--seconds S] [filter ...]
//
// What the device can do at most, then the time of every op on it, one JSON line each; a filter keeps the ops whose name starts with it.
// GEMMATUNE_CPU and GEMMATUNE_AMX lower the CPU's instruction set. On the emulator shapes are tiny and times mean nothing.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "bench/cases.h"
#include "bench/limits.h"
#include "cpu/isa.h"

using namespace gt;
using namespace gt::bench;

namespace {

struct Options {
  DeviceKind kind = DeviceKind::cpu;
  int index = 0, threads = 0;
  DType dtype = DType::bf16;
  gpu::Level level = gpu::Level::sm80;
  double seconds = 0.15;  // for one call
  std::vector<std::string> filters;
};

int whole_number(const std::string& option, const std::string& value) {
  require(!value.empty() && value.size() < 9 && value.find_first_not_of("0123456789") == std::string::npos, Code::kArgument, option, " is \"", value, "\", expected a whole number");
  return std::atoi(value.c_str());
}

// "cpu", "cuda", "cuda:1", "emulated"
void set_device(Options& o, const std::string& value) {
  const size_t colon = value.find(':');
  const std::string name = value.substr(0, colon);
  const DeviceKind kinds[] = {DeviceKind::cpu, DeviceKind::cuda, DeviceKind::emulated};
  const auto kind = std::find_if(std::begin(kinds), std::end(kinds), [&](DeviceKind k) { return name == name_of(k); });
  require(kind != std::end(kinds) && (colon == std::string::npos || *kind == DeviceKind::cuda), Code::kArgument, "--device is \"", value, "\", expected cpu, cuda, cuda:N or emulated");
  o.kind = *kind;
  if (colon != std::string::npos) o.index = whole_number("--device cuda:N", value.substr(colon + 1));
}

Options read(const std::vector<std::string>& arguments) {
  Options o;
  for (size_t i = 0; i < arguments.size(); i++) {
    const std::string& option = arguments[i];
    if (option.rfind("--", 0) != 0) {
      o.filters.push_back(option);
      continue;
    }
    require(i + 1 < arguments.size(), Code::kArgument, option, " has no value");
    const std::string& value = arguments[++i];
    if (option == "--device") set_device(o, value);
    else if (option == "--dtype" && (value == "bfloat16" || value == "float32")) o.dtype = value == "float32" ? DType::f32 : DType::bf16;
    else if (option == "--level" && (value == "sm75" || value == "sm80")) o.level = value == "sm75" ? gpu::Level::sm75 : gpu::Level::sm80;
    else if (option == "--threads") o.threads = whole_number(option, value);
    else if (option == "--seconds") o.seconds = std::atof(value.c_str());
    else throw Error(Code::kArgument, text(option, " ", value, " is unknown, expected --device cpu|cuda|cuda:N|emulated, --dtype bfloat16|float32, --level sm75|sm80, --threads N, --seconds S, or the start of an op's name"));
  }
  require(o.seconds > 0, Code::kArgument, "--seconds is ", o.seconds, ", expected more than 0");
  require(o.kind == DeviceKind::cpu || o.dtype == DType::bf16, Code::kArgument, "--dtype is float32, but GPUs compute with bfloat16 weights");
  return o;
}

const char* level_of(Device& device) { return device.gpu().level == gpu::Level::sm75 ? "sm75" : "sm80"; }

// "cpu", "cuda:0 sm80", "emulated sm75"
std::string title(Device& device) {
  if (device.on_host()) return "cpu";
  return device.kind == DeviceKind::cuda ? text("cuda:", device.index, " ", level_of(device)) : text("emulated ", level_of(device));
}

void print_device(Device& device) {
  if (device.on_host()) {
    std::printf("{\"device\":\"cpu\",\"instructionSet\":\"%s\",\"threads\":%d}\n", cpu::instruction_set(), device.threads().count());
    return;
  }
  const gpu::Description& d = device.gpu().description;
  std::printf("{\"device\":\"%s\",\"name\":\"%s\",\"capability\":%d,\"multiprocessors\":%d,\"memoryBytes\":%lld,\"driver\":%d,\"runtime\":%d}\n", title(device).c_str(), d.name.c_str(), d.capability, d.multiprocessors, (long long)d.memory, d.driver, d.runtime);
}

void print_limit(const std::string& device, const Limit& l) {
  std::printf("{\"limit\":\"%s\",\"device\":\"%s\",\"family\":\"%s\",\"%s\":%.6g}\n", l.name.c_str(), device.c_str(), l.family.c_str(), l.name == "copy" ? "bytesPerSecond" : "flopsPerSecond", l.per_second);
}

// Seconds of one call: the median of eleven timings, of as many calls each that starting and waiting do not count; of five when eleven
// take longer than `budget`, of fewer when five take twice as long.
double median_seconds(Device& device, double budget, const std::function<void()>& body) {
  const auto timing = [&](int calls) {
    device.synchronize();
    const double start = now(device);
    for (int i = 0; i < calls; i++) body();
    device.synchronize();
    return (now(device) - start) / calls;
  };
  const double first = timing(1);  // memory is touched for the first time
  if (device.kind == DeviceKind::emulated) return first;
  const double once = timing(1);
  const int calls = int(std::clamp(budget / 11 / std::max(once, 1e-7), 1., 1000.));
  std::vector<double> times;
  double spent = 0;
  if (calls == 1) times.push_back(once), spent = once;
  while (times.size() < (spent < budget ? 11u : spent < 2 * budget ? 5u : 1u)) times.push_back(timing(calls)), spent += times.back() * calls;
  std::nth_element(times.begin(), times.begin() + int64_t(times.size() - 1) / 2, times.end());
  return times[(times.size() - 1) / 2];
}

// The time that a call needs at least, and the limit that says so.
struct Floor {
  double seconds = 0;
  std::string bound_by;
};
Floor floor_of(const Call& call, const std::vector<Limit>& limits, const std::string& products) {
  Floor floor;
  for (const Limit& l : limits) {
    const double amount = l.name == "copy" ? call.bytes : l.name == products ? call.flops : 0;
    if (amount / l.per_second > floor.seconds) floor = {amount / l.per_second, l.name};
  }
  return floor;
}

void print_call(const std::string& device, DType dtype, const Call& c, double seconds, const Floor& floor) {
  std::printf("{\"device\":\"%s\",\"op\":\"%s\",\"shape\":\"%s\",\"dtype\":\"%s\",\"seconds\":%.6g,\"bytes\":%.0f,\"flops\":%.0f,\"bytesPerSecond\":%.6g,\"flopsPerSecond\":%.6g,", device.c_str(), c.op, c.shape.c_str(), name_of(dtype), seconds,
              c.bytes, c.flops, c.bytes / seconds, c.flops / seconds);
  if (floor.seconds > 0) std::printf("\"share\":%.4f,\"boundBy\":\"%s\",", floor.seconds / seconds, floor.bound_by.c_str());
  else std::printf("\"share\":null,\"boundBy\":null,");
  std::printf("\"callsPerStep\":{\"completion\":%lld,\"full\":%lld}}\n", (long long)c.per_step.completion, (long long)c.per_step.full);
  std::fflush(stdout);
}

bool run(const Options& o) {
  const std::vector<Case> chosen = cases(o.filters);
  Device device(o.kind, o.index, o.threads, o.level);
  const std::string name = title(device);
  print_device(device);
  const std::vector<Limit> limits = measure_limits(device, o.dtype, 3 * o.seconds);
  for (const Limit& l : limits) print_limit(name, l);
  std::fflush(stdout);

  bool all_ran = true;
  for (const Case& c : chosen) {
    // As its door picks: the CPU's attention computes in float32 where bfloat16 instructions would not be faster.
    const bool widened = device.on_host() && std::string(c.name) == "attention" && !cpu::has_fast_bf16_pairs();
    const std::string products = limit_of_products(device, widened ? DType::f32 : o.dtype);
    Bench b(device, o.dtype, o.kind == DeviceKind::cpu ? kCpuPass : o.kind == DeviceKind::cuda ? kGpuStep : kTiny,
            [&](const Call& call, const std::function<void()>& body) { print_call(name, o.dtype, call, median_seconds(device, o.seconds, body), floor_of(call, limits, products)); });
    try {
      c.body(b);
    } catch (const std::exception& e) {
      std::fprintf(stderr, "ops_bench: %s: %s\n", c.name, e.what());
      all_ran = false;
    }
  }
  return all_ran;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(read({argv + 1, argv + argc})) ? 0 : 1;
  } catch (const Error& e) {
    std::fprintf(stderr, "ops_bench: %s\n", e.what());
    return e.code == Code::kArgument ? 2 : 1;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "ops_bench: %s\n", e.what());
    return 1;
  }
}
