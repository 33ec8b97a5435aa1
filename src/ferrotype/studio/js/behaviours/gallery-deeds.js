// What can be done with pictures, one or many: the gallery and the viewer use the same.

import { call, post } from "studio/lib/api.js";
import { h } from "studio/lib/dom.js";
import { bytes, plural } from "studio/lib/format.js";
import { toast, toastProblem } from "studio/lib/toast.js";

// As many as the API takes at once.
const AT_ONCE = 1000;

/** Save one picture as its file, several as one archive. */
export async function download(assets) {
  const there = assets.filter((asset) => asset.state === "ready" && !asset.deleted_at);
  if (there.length === 1) return save(`/images/${there[0].id}?dl`);
  if (!there.length) return toast("None of these pictures can be downloaded.", { kind: "error" });
  for (let i = 0; i < there.length; i += AT_ONCE) {
    const part = there.length > AT_ONCE ? ` ${i / AT_ONCE + 1} of ${Math.ceil(there.length / AT_ONCE)}` : "";
    if (!(await archive(there.slice(i, i + AT_ONCE).map((asset) => asset.id), part))) return undefined;
  }
  return undefined;
}

/** The archive is made while it is sent: how large it will be is often not known. */
async function archive(ids, part) {
  const giveUp = new AbortController();
  const said = h("span", null, `Packing ${plural(ids.length, "picture")}${part} …`);
  const close = toast(said, { timeout: 0, action: { label: "Cancel", run: () => giveUp.abort() } });
  try {
    const reply = await call("POST", "/v1/assets/download", { ids, name: `Ferrotype${part}` }, { signal: giveUp.signal });
    const name = /filename="([^"]+)"/.exec(reply.headers.get("Content-Disposition") ?? "")?.[1] ?? "pictures.zip";
    const chunks = [];
    let size = 0;
    for (const reader = reply.body.getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      size += value.length;
      said.textContent = `Downloading ${plural(ids.length, "picture")}${part}: ${bytes(size)}`;
    }
    const url = URL.createObjectURL(new Blob(chunks, { type: "application/zip" }));
    save(url, name);
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    return true;
  } catch (error) {
    toastProblem(error);
    return false;
  } finally {
    close();
  }
}

function save(url, name = "") {
  const link = h("a", { href: url, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
}

/** Mark or unmark; true when it was done. */
export async function favourite(ids, on) {
  return many("/v1/assets/favourite", ids, { favourite: on });
}

/** Into the bin, with a way back. `undone` is called once they are back. */
export async function discard(ids, undone) {
  if (!(await many("/v1/assets/delete", ids))) return false;
  toast(`${plural(ids.length, "picture")} deleted`, {
    timeout: 12_000,
    action: { label: "Undo", run: async () => { if (await restore(ids)) undone?.(); } },
  });
  return true;
}

export async function restore(ids) {
  const done = await many("/v1/assets/restore", ids);
  if (done) toast(`${plural(ids.length, "picture")} restored`);
  return done;
}

async function many(path, ids, more = {}) {
  try {
    for (let i = 0; i < ids.length; i += AT_ONCE) await post(path, { asset_ids: ids.slice(i, i + AT_ONCE), ...more });
    return true;
  } catch (error) {
    toastProblem(error);
    return false;
  }
}

/** The address of a picture in the studio. */
export const linkTo = (assetId) => new URL(`/studio/gallery?asset=${assetId}`, location.href).href;
