import type { ComponentChildren } from "preact";

/** Line icons on a 24-pixel grid. They are decoration: the control they sit in has the label. */
function Icon({ children }: { children: ComponentChildren }) {
  return (
    <svg
      class="icon"
      viewBox="0 0 24 24"
      width="24"
      height="24"
      fill="none"
      stroke="currentColor"
      stroke-width="1.8"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {children}
    </svg>
  );
}

const HANDSET =
  "M6.4 3.6h2.5c.5 0 .9.3 1.1.7l1.2 3.1c.2.5 0 1.1-.4 1.4L9.3 10a11.6 11.6 0 0 0 4.7 4.7l1.2-1.5c.3-.4.9-.6 1.4-.4l3.1 1.2c.4.2.7.6.7 1.1v2.5c0 1.4-1.2 2.5-2.6 2.4A15.7 15.7 0 0 1 4 6.2a2.4 2.4 0 0 1 2.4-2.6z";

export const PhoneIcon = () => (
  <Icon>
    <path d={HANDSET} />
  </Icon>
);
export const HangUpIcon = () => (
  <Icon>
    <g transform="rotate(135 12 12)">
      <path d={HANDSET} fill="currentColor" />
    </g>
  </Icon>
);
export const VideoIcon = () => (
  <Icon>
    <rect x="3" y="6.5" width="12" height="11" rx="2.5" />
    <path d="m15 10.8 4.6-2.7c.6-.4 1.4.1 1.4.8v6.2c0 .7-.8 1.2-1.4.8L15 13.2" />
  </Icon>
);
export const VideoOffIcon = () => (
  <Icon>
    <path d="M7.5 6.5h5A2.5 2.5 0 0 1 15 9v1.8l4.6-2.7c.6-.4 1.4.1 1.4.8v6.2c0 .4-.2.7-.5.8M14.6 16a2.5 2.5 0 0 1-2.1 1.5h-7A2.5 2.5 0 0 1 3 15V9c0-.8.4-1.5 1-2" />
    <path d="M3.5 3.5l17 17" />
  </Icon>
);
export const MicIcon = () => (
  <Icon>
    <rect x="9" y="3" width="6" height="11" rx="3" />
    <path d="M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3" />
  </Icon>
);
export const MicOffIcon = () => (
  <Icon>
    <path d="M9 8.5V11a3 3 0 0 0 4.6 2.5M15 11V6a3 3 0 0 0-5.8-1" />
    <path d="M5.5 11.5a6.5 6.5 0 0 0 10.4 5.2M18.5 11.5c0 .9-.2 1.8-.5 2.6M12 18v3" />
    <path d="M3.5 3.5l17 17" />
  </Icon>
);
export const PeopleIcon = () => (
  <Icon>
    <circle cx="9" cy="8.2" r="3.4" />
    <path d="M2.8 19.5c.4-3.4 3-5.6 6.2-5.6s5.8 2.2 6.2 5.6" />
    <path d="M15.6 5a3.4 3.4 0 0 1 0 6.4M18 14.5c1.8.9 2.9 2.7 3.2 5" />
  </Icon>
);
export const AddPersonIcon = () => (
  <Icon>
    <circle cx="9.5" cy="8.2" r="3.4" />
    <path d="M3.2 19.5c.4-3.4 3-5.6 6.3-5.6 1.7 0 3.2.6 4.3 1.6M18.5 14v6M15.5 17h6" />
  </Icon>
);
export const ClockIcon = () => (
  <Icon>
    <circle cx="12" cy="12" r="8.7" />
    <path d="M12 7.2V12l3.2 2" />
  </Icon>
);
export const GearIcon = () => (
  <Icon>
    <path d="M4 7h9M17 7h3M4 17h3M11 17h9" />
    <circle cx="15" cy="7" r="2.2" />
    <circle cx="9" cy="17" r="2.2" />
  </Icon>
);
export const SearchIcon = () => (
  <Icon>
    <circle cx="10.8" cy="10.8" r="6.6" />
    <path d="m20.3 20.3-4.8-4.8" />
  </Icon>
);
export const CloseIcon = () => (
  <Icon>
    <path d="M6 6l12 12M18 6L6 18" />
  </Icon>
);
export const CheckIcon = () => (
  <Icon>
    <path d="m5.5 12.5 4.3 4.3 8.7-9.4" />
  </Icon>
);
export const BackIcon = () => (
  <Icon>
    <path d="m14.5 5.5-6.5 6.5 6.5 6.5" />
  </Icon>
);
export const EyeIcon = () => (
  <Icon>
    <path d="M2.8 12S6.2 5.8 12 5.8 21.2 12 21.2 12 17.8 18.2 12 18.2 2.8 12 2.8 12z" />
    <circle cx="12" cy="12" r="2.8" />
  </Icon>
);
export const EyeOffIcon = () => (
  <Icon>
    <path d="M6.3 7.700A16 16 0 0 0 2.8 12S6.2 18.2 12 18.200c1.6 0 3-.4 4.2-1.100M10 6c.6-.1 1.3-.2 2-.2 5.8 0 9.2 6.2 9.2 6.200a16 16 0 0 1-2.3 3.1" />
    <path d="M4 4l16 16" />
  </Icon>
);
export const OutIcon = () => (
  <Icon>
    <path d="M7 17 17 7M9 7h8v8" />
  </Icon>
);
export const InIcon = () => (
  <Icon>
    <path d="M17 7 7 17M15 17H7V9" />
  </Icon>
);
export const DeviceIcon = () => (
  <Icon>
    <rect x="3.5" y="5" width="17" height="11" rx="2" />
    <path d="M9 20h6M12 16v4" />
  </Icon>
);

export const Mark = () => (
  <svg class="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
    <rect width="32" height="32" rx="9" class="mark-ground" />
    <g fill="none" stroke="#fff" stroke-width="2.6" stroke-linecap="round">
      <path d="M9 13.500v5M13.7 10v12M18.3 12.400v7.200M23 14.600v2.8" />
    </g>
  </svg>
);
