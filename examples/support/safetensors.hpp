// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "examples/support/safetensors_header.hpp"
#include "examples/support/safetensors_reader.hpp"
#include "examples/support/safetensors_writer.hpp"
#include "examples/support/sharded_checkpoint.hpp"
