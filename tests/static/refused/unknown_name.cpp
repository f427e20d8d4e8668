// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
// MESSAGE: polymoe: this oracle knows no backend of that name
#include "polymoe/polymoe.hpp"

auto backend = polymoe::oracle::Unquantized::map_backend<"amx_bf17">();
