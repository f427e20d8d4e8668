// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

/// The whole library.

#include "polymoe/execution/executor.hpp"
#include "polymoe/execution/openmp_executor.hpp"
#include "polymoe/execution/serial_executor.hpp"
#include "polymoe/execution/workspace.hpp"
#include "polymoe/experts/grouped.hpp"
#include "polymoe/kernel/fused_moe_kernel.hpp"
#include "polymoe/kernel/select_kernel.hpp"
#include "polymoe/layout/accelerator/kernel_format.hpp"
#include "polymoe/prepare_finalize/batched.hpp"
#include "polymoe/prepare_finalize/no_dp_ep.hpp"
#include "polymoe/prepare_finalize/select_strategy.hpp"
#include "polymoe/target/detect.hpp"
#include "polymoe/target/native.hpp"
