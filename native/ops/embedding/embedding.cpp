// The door of embedding: checks shapes, dtypes and ids, then picks the backend.
#include "ops/embedding/embedding.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/profile.h"
#include "ops/embedding/cpu.h"
#include "ops/embedding/gpu.h"

namespace gt {

static void check_operands(const char* op, const char* table_name, const Tensor& table, const char* x_name, const Tensor& x, const Tensor& ids) {
  require(table.rank == 2 && ids.rank == 1, Code::kShape, op, ": got ", table_name, " ", table.describe(), " and ids ", ids.describe(), ", expected [V, C] and [T]");
  require_shape(op, x_name, x, {ids.shape[0], table.shape[1]});
  require_dtype(op, x_name, x, {DType::f32});
  require_dtype(op, "ids", ids, {DType::i32});
  const int32_t* id = ids.as<int32_t>();
  for (int64_t t = 0; t < ids.shape[0]; t++)
    require(id[t] >= 0 && id[t] < table.shape[0], Code::kArgument, op, ": ids[", t, "] is ", id[t], ", expected a token id from 0 to ", table.shape[0] - 1);
}

static void require_gpu_width(const Device& device, const char* op, const char* name, const Tensor& table) {
  require(table.shape[1] % 8 == 0, Code::kShape, op, ": ", name, " is ", table.describe(), ", the ", name_of(device.kind), " backend takes multiples of 8 for C");
}

void embedding_forward(Device& device, const Tensor& x, const Tensor& table, const Tensor& ids, float scale) {
  const char* op = "embedding";
  const Span span(device, "embedding_forward");
  check_operands(op, "table", table, "x", x, ids);
  require_dtype(op, "table", table, {DType::f32, DType::bf16});
  switch (device.kind) {
    case DeviceKind::cpu:
      return GT_PICK(cpu::embedding).forward(device.threads(), x.as<float>(), table.data, table.dtype, ids.as<int32_t>(), ids.shape[0], table.shape[1], scale);
    case DeviceKind::cuda:
    case DeviceKind::emulated:
      require(table.dtype == DType::bf16, Code::kArgument, op, ": table is ", table.describe(), ", the ", name_of(device.kind), " backend takes bfloat16");
      require_gpu_width(device, op, "table", table);
      return GT_PICK_GPU(device, embedding).forward(device.gpu(), x.as<float>(), table.as<bf16>(), ids.as<int32_t>(), ids.shape[0], table.shape[1], scale);
  }
}

void embedding_backward(Device& device, const Tensor& dtable, const Tensor& dx, const Tensor& ids, float scale) {
  const char* op = "embedding_backward";
  const Span span(device, op);
  check_operands(op, "dtable", dtable, "dx", dx, ids);
  require_gradient_dtype(op, "dtable", dtable, device);

  const int32_t* id = ids.as<int32_t>();
  std::vector<int32_t> order(size_t(ids.shape[0])), starts;
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return id[a] < id[b]; });
  for (size_t i = 0; i < order.size(); i++)
    if (i == 0 || id[order[i]] != id[order[i - 1]]) starts.push_back(int32_t(i));
  const int64_t groups = int64_t(starts.size());
  starts.push_back(int32_t(order.size()));

  switch (device.kind) {
    case DeviceKind::cpu:
      return GT_PICK(cpu::embedding).backward(device.threads(), dtable.data, dtable.dtype, dx.as<float>(), id, order.data(), starts.data(), groups, dtable.shape[1], scale);
    case DeviceKind::cuda:
    case DeviceKind::emulated:
      require_gpu_width(device, op, "dtable", dtable);
      return GT_PICK_GPU(device, embedding).backward(device.gpu(), dtable.as<float>(), dx.as<float>(), id, order.data(), starts.data(), ids.shape[0], groups, dtable.shape[1], scale);
  }
}

}  // namespace gt
