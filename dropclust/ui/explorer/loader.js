// What Streamlit mounts, and sends again with every change of its data: it fetches the explorer itself, once, by its address.

export default function (component) {
  let gone = false;
  let end;
  import(new URL(component.data.code, document.baseURI)).then((explorer) => {
    if (!gone) end = explorer.default(component);
  });
  return () => {
    gone = true;
    end?.();
  };
}
