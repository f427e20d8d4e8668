// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.

// Machines, libraries, variables and names as values.

#include "polymoe/config/backend_name.hpp"
#include "polymoe/target/target.hpp"

namespace polymoe {
namespace {

static_assert(BackendName("Flash-Infer_TRTLLM").view() == "flash_infer_trtllm", "read as a config file writes it");
static_assert(BackendName("auto").is_auto() && BackendName().is_auto());
static_assert(BackendName("a name that is longer than the name of any backend").view().size() == BackendName::capacity);

static_assert(gfx_from_name("gfx942") == gfx::gfx942);
static_assert(gfx_from_name("gfx90a")->capability() == ComputeCapability{9, 0});
static_assert(gfx_from_name("gfx1201")->capability() == ComputeCapability{12, 0});
static_assert(!gfx_from_name("gfx9") && !gfx_from_name("sm_90") && !gfx_from_name("gfx94x"));

static_assert(target::ada.supports_fp8() && !target::ampere.supports_fp8());
static_assert(target::mi300x.supports_fp8() && target::mi300x.uses_fp8_fnuz() && !target::mi355x.uses_fp8_fnuz());
static_assert(!target::rocm({0x1100}).supports_fp8() && target::rocm({0x1201}).supports_fp8());
static_assert(!target::sapphire_rapids.supports_fp8(), "a CPU computes with fp8 weights, and not with fp8 products");
static_assert(ComputeCapability{10, 0} > ComputeCapability{9, 5});

static_assert(libraries::all_of_cuda.has(Library::humming) && !libraries::all_of_rocm.has(Library::humming));
static_assert(library_from_name("deep_gemm") == Library::deep_gemm && !library_from_name("torch"));

constexpr Environment environment = [] {
  Environment result;
  result.set("VLLM_USE_DEEP_GEMM", "0");
  result.set("VLLM_ROCM_USE_AITER", "1");
  result.set("VLLM_FLASHINFER_MOE_BACKEND", "latency");
  return result;
}();
static_assert(environment.use_deep_gemm == Switch::off && environment.rocm_use_aiter == Switch::on);
static_assert(environment.moe_use_deep_gemm == Switch::unset && value_or(environment.moe_use_deep_gemm, true));
static_assert(environment.flashinfer_moe_backend == FlashInferMoE::latency);
static_assert(!Environment{}.set("VLLM_LOGGING_LEVEL", "DEBUG"), "selection does not read it");

/// Structural: a machine is a template argument.
template <Target target>
constexpr bool is_blackwell = target.cuda_capability.major_version == 10;
static_assert(is_blackwell<target::blackwell> && !is_blackwell<target::hopper>);

}  // namespace
}  // namespace polymoe
