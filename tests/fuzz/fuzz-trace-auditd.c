/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz-trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_trace(data, size, TRACE_AUDITD);
	return 0;
}
