export const title = "Create";
export function mount(root) { root.textContent = ""; }
