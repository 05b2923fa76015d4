// Preloaded (node --import) into a process whose peak memory is wanted: at its end, kilobytes into the file that $PEAK_MEMORY names.
import { writeFileSync } from "node:fs";

process.on("exit", () => writeFileSync(process.env.PEAK_MEMORY, String(process.resourceUsage().maxRSS)));
