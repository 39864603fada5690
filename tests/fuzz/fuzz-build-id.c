/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "trace/modules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char hex[41] = "";

	build_id_read(fuzz_file(data, size), hex);
	return 0;
}
