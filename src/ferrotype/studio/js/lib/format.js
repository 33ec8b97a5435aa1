// Numbers and times as people read them.

const number = new Intl.NumberFormat("en");
const day = new Intl.DateTimeFormat("en", { day: "numeric", month: "long", year: "numeric" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** 1,234,000 -> "1.2M", for where there is little room. */
export const short = (value) => compact.format(value);
export const count = (value) => number.format(value);
export const plural = (value, word, words = `${word}s`) => `${count(value)} ${value === 1 ? word : words}`;
export const credits = (value) => plural(value, "credit");

/** Dollars with as many digits as say something; empty for nothing. */
export function usd(value) {
  if (!value) return "";
  if (value < 0.01) return `$${value.toPrecision(1)}`;
  return `$${value.toFixed(value < 1 ? 3 : 2).replace(/(\.\d\d)0$/, "$1")}`;
}

/** "0.4 s", "12 s", "3 min 20 s", "2 h 5 min". */
export function seconds(value) {
  if (value === null || value === undefined) return "";
  if (value < 1) return `${Math.max(0.1, value).toFixed(1)} s`;
  if (value < 10) return `${value.toFixed(1).replace(/\.0$/, "")} s`;
  if (value < 60) return `${Math.round(value)} s`;
  const minutes = Math.floor(value / 60);
  if (minutes < 60) return Math.round(value % 60) ? `${minutes} min ${Math.round(value % 60)} s` : `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function bytes(value) {
  for (const unit of ["bytes", "KiB", "MiB", "GiB"]) {
    if (value < 1024 || unit === "GiB") return `${unit === "bytes" ? value : value.toFixed(value < 10 ? 1 : 0)} ${unit}`;
    value /= 1024;
  }
  return "";
}

export const date = (text) => day.format(new Date(text));
export const time = (text) => clock.format(new Date(text));

export function ago(text) {
  const past = (Date.now() - new Date(text)) / 1000;
  if (past < 50) return "just now";
  if (past < 3600) return `${Math.round(past / 60)} min ago`;
  if (past < 86400) return `${Math.round(past / 3600)} h ago`;
  return date(text);
}

/** "16:9" -> 16/9; 1 for what is no ratio. */
export function ratio(text) {
  const [w, h] = String(text ?? "").split(":").map(Number);
  return w > 0 && h > 0 ? w / h : 1;
}
