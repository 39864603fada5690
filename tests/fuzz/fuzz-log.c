/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Monitor logs: whatever stands in one, what is read of it is within its bounds, and an error names a line. */
#include "alarm/log.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct log_reader *reader;
	struct log_record record;
	struct errmsg err = { 0 };
	int r;

	if (log_reader_open(fuzz_file(data, size), &reader, &err) < 0)
		abort();
	while ((r = log_reader_next(reader, &record, &err)) > 0)
		if (record.normality > 10000 || record.mean > 10000 || record.over > MEAN_MAX)
			abort();
	if (r < 0 && !err.line)
		abort();
	for (int i = 0; i < MEAN_WINDOWS; i++)
		if (log_reader_info(reader)->means[i] > MEAN_MAX || log_reader_info(reader)->thresholds[i] > 100)
			abort();
	log_reader_close(reader);
	return 0;
}
